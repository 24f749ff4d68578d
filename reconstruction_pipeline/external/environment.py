"""What a program sees of our environment: little, so that no key or token of ours reaches it unasked."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from reconstruction_pipeline.external.descriptor import Program
from reconstruction_pipeline.external.filling import Values, fill

USUAL = (
    "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME",
    "CUDA_HOME", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR",
)  # fmt: skip
IN_CONTAINERS = ("CUDA_VISIBLE_DEVICES",)


def search_path() -> str:
    """Where programs are looked for: beside our Python first, as `reconstruct` itself is there."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def find(name: str) -> str | None:
    """The program's file, or None."""
    return shutil.which(name, path=search_path())


def for_process(program: Program, values: Values) -> dict[str, str]:
    """Variables of a program that runs as a process."""
    return {"PATH": search_path(), **_ours((*USUAL, *program.inherit)), **_its_own(program, values)}


def for_container(program: Program, values: Values, home: Path, profile: Iterable[str]) -> dict[str, str]:
    """Variables of a program in a container; `profile` are those of its hardware profile, NAME or NAME=VALUE."""
    given = dict(item.split("=", 1) for item in profile if "=" in item)
    named = [item for item in profile if "=" not in item]
    ours = _ours((*IN_CONTAINERS, *named, *program.inherit))
    return {"HOME": str(home), **ours, **given, **_its_own(program, values)}


def _ours(names: Iterable[str]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}


def _its_own(program: Program, values: Values) -> Mapping[str, str]:
    filled = {name: fill(value, values) for name, value in program.environment.items()}
    return {name: value for name, value in filled.items() if value is not None}
