"""Descriptors of the stand-in."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from reconstruction_pipeline.external.descriptor import Program
from reconstruction_pipeline.external.loading import program_of

STAND_IN = Path(__file__).with_name("stand_in.py")


def body(mode: str, *more: str, **changes: Any) -> dict[str, Any]:
    """A training program that runs the stand-in in `mode`."""
    return {
        "name": "stand-in",
        "stage": "training",
        "licence": "MIT",
        "commercial_use": True,
        "reads": {"project": "colmap"},
        "writes": {"scene.ply": "3dgs-ply"},
        "argv": [sys.executable, str(STAND_IN), mode, "{output}", *more],
        "environment": {"PROJECT": "{project}"},
        **changes,
    }


def program(mode: str, *more: str, **changes: Any) -> Program:
    return program_of(body(mode, *more, **changes), "test")


def living(mark: str) -> list[int]:
    """Processes with this text on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def gone(mark: str, seconds: float = 10.0) -> bool:
    """Whether no process has this text on its command line; the system may take a moment to end one."""
    deadline = time.monotonic() + seconds
    while living(mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
