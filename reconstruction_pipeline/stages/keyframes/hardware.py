"""Which decoder: the machine's own where it has one for the codec, else FFmpeg's in software.

What decoders of H.264, HEVC, VP9 and AV1 must give is defined to the last bit, so that the choice changes nothing but
the time it takes.
"""

from __future__ import annotations

import ctypes.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

SOFTWARE = "software"
# What decoders in hardware hand over; FFmpeg falls back to software by itself where a stream is beyond them.
HARDWARE_FORMATS = frozenset({"nv12", "p010le", "p012le", "p016le", "nv16", "p210le", "p216le", "nv24", "p410le"})


def _nvidia() -> bool:
    """A graphics card, and the part of its driver that decodes, which containers often lack."""
    return Path("/dev/nvidiactl").exists() and ctypes.util.find_library("nvcuvid") is not None


def _vaapi() -> bool:
    return any(os.access(node, os.R_OK | os.W_OK) for node in Path("/dev/dri").glob("renderD*"))


# By FFmpeg's names, the best first.
MACHINE: Mapping[str, Callable[[], bool]] = {
    "cuda": _nvidia,
    "videotoolbox": lambda: sys.platform == "darwin",
    "vaapi": _vaapi,
}


def devices_here() -> tuple[str, ...]:
    """Names of the decoding devices that this machine has and that FFmpeg was built for, the best first."""
    from av.codec.hwaccel import hwdevices_available

    built = set(hwdevices_available())
    return tuple(name for name, there in MACHINE.items() if name in built and there())


def device_for(codec: Any, devices: Sequence[str]) -> str | None:
    """The first of `devices` that decodes `codec` (PyAV's); None when none does."""
    able = {config.device_type.name for config in codec.hardware_configs if config.is_supported}
    return next((name for name in devices if name in able), None)
