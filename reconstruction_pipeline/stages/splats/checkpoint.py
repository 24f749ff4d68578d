"""Checkpoints that really resume: parameters, moments, random state, order of views, exposure, curve, clock.

One uncompressed `.npz` a checkpoint, written beside and renamed, loaded back once before it replaces
the one before: a kill at any moment leaves a whole checkpoint or none.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import numpy as np

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.stages.splats.exposure import Exposure
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline.stages.splats.state import TALLIES, CurveRow, TrainState

SCHEMA = 1
NAME = "checkpoint.npz"
_SCALARS = (
    "count", "step", "elapsed", "position", "level",
    "epochs", "contribution_views", "initial_psnr", "pace", "loss_sum", "loss_steps",
)  # fmt: skip
_FREE_TO_CHANGE = ("device", "threads", "checkpoint_seconds")
"""Settings that may differ between a run and its continuation."""


def fingerprint(settings: TrainSettings, names: list[str], size: tuple[int, int]) -> dict[str, Any]:
    """What must be the same for a checkpoint to be continued: settings, training views and their size."""
    chosen = {key: value for key, value in asdict(settings).items() if key not in _FREE_TO_CHANGE}
    identity: dict[str, Any] = json.loads(json.dumps({"settings": chosen, "views": names, "size": size}))
    return identity


def save(folder: Path, state: TrainState, cap: int, identity: dict[str, Any]) -> Path:
    """Write `folder/checkpoint.npz` atomically; the file is read back before it replaces the older one."""
    folder.mkdir(parents=True, exist_ok=True)
    meta = {
        "schema": SCHEMA,
        "identity": identity,
        "cap": cap,
        "rng": state.rng.bit_generator.state,
        "exposure_active": state.exposure.active,
        "curve": [astuple(row) for row in state.curve],
        **{name: getattr(state, name) for name in _SCALARS},
    }
    target, temporary = folder / NAME, folder / f".{NAME}.{os.getpid()}.tmp"
    n = state.count
    try:
        with temporary.open("wb") as file:
            np.savez(
                file,
                meta=np.array(json.dumps(meta)),
                planes=state.planes[:, :n],
                m=state.m[:, :n],
                v=state.v[:, :n],
                tallies=state.tallies[:, :n],
                order=state.order,
                exposure=state.exposure.log_gains,
            )
            file.flush()
            os.fsync(file.fileno())
        with zipfile.ZipFile(temporary) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise InvalidArtifact(f"{target}: the checkpoint was damaged while it was written; check the disk.")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def load(folder: Path, identity: dict[str, Any]) -> tuple[TrainState, int] | None:
    """(state, cap) of the checkpoint in `folder`, or None if there is none.

    Raises InvalidArtifact if it is damaged or belongs to other settings or pictures.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        with np.load(path) as data:
            meta = json.loads(str(data["meta"]))
            arrays = {name: data[name] for name in data.files if name != "meta"}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InvalidArtifact(
            f"{path}: the checkpoint is damaged ({error}); delete it to train from the start."
        ) from error
    if meta["schema"] != SCHEMA or meta["identity"] != identity:
        raise InvalidArtifact(
            f"{path}: the checkpoint is of another run (other settings, pictures or version); "
            "delete it to train from the start."
        )
    rng = np.random.default_rng()
    rng.bit_generator.state = meta["rng"]
    count = meta["count"]
    planes = layout.empty_planes(max(meta["cap"], count))
    planes[:, :count] = arrays["planes"]
    m, v = layout.aligned_zeros(planes.shape), layout.aligned_zeros(planes.shape)
    m[:, :count], v[:, :count] = arrays["m"], arrays["v"]
    tallies = np.zeros((TALLIES, planes.shape[1]), np.float32)
    tallies[:, :count] = arrays["tallies"]
    table = Exposure(arrays["exposure"], meta["exposure_active"])
    state = TrainState(
        planes=planes,
        m=m,
        v=v,
        tallies=tallies,
        exposure=table,
        rng=rng,
        order=arrays["order"],
        curve=[CurveRow(*row) for row in meta["curve"]],
        **{name: meta[name] for name in _SCALARS},
    )
    return state, int(meta["cap"])


def discard(folder: Path) -> None:
    """Remove the checkpoint once the run it belongs to has ended well."""
    (folder / NAME).unlink(missing_ok=True)
