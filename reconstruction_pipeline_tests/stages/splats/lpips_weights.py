"""Small made weights of LPIPS in files of the published shapes: random features, positive heads."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from reconstruction_pipeline.stages.splats import lpips


def write_weights(weights: Path, seed: int = 0) -> dict[str, np.ndarray]:
    """Write both files into `weights`/lpips; their tensors by name."""
    rng = np.random.default_rng(seed)
    folder = weights / lpips.SUBFOLDER
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for file in (lpips.ALEXNET, lpips.HEADS):
        tensors = {}
        for name, shape in file.shapes.items():
            values = rng.normal(0, 1.0 / np.sqrt(np.prod(shape[1:], initial=1.0)), shape)
            tensors[name] = (np.abs(values) if name.startswith("lin") else values).astype(np.float32)
        # The published checkpoint has the classifier too, which must not be in the way.
        more = {"classifier.1.bias": np.zeros(8, np.float32)} if file is lpips.ALEXNET else {}
        stored = {name: torch.from_numpy(value) for name, value in (tensors | more).items()}
        torch.save(stored, folder / file.name)
        made |= tensors
    return made


def accept(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the files as they are now be the right ones."""
    for name in ("ALEXNET", "HEADS"):
        file = getattr(lpips, name)
        digest = hashlib.sha256((weights / lpips.SUBFOLDER / file.name).read_bytes()).hexdigest()
        monkeypatch.setattr(lpips, name, file._replace(sha256=digest))
