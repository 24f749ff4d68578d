"""Which device trains: what was asked for, and what this machine has."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from reconstruction_pipeline.artifacts.errors import MissingRequirement
from reconstruction_pipeline.stages.splats.devices.base import Device
from reconstruction_pipeline.stages.splats.settings import DeviceName


def nvidia_driver_present() -> bool:
    """Whether an NVIDIA driver is loaded, without importing torch (which would cost a CPU run seconds and memory)."""
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()


def cuda_available() -> bool:
    """What torch says, asked only where an NVIDIA driver is loaded."""
    if not nvidia_driver_present() or find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


class Choice(NamedTuple):
    """`device` and `backend` to train with; `fallback_level` is 0 for the best this machine has."""

    device: str
    backend: str
    fallback_level: int


def choose_device(device: DeviceName) -> Choice:
    """The trainer for a device: only the CPU has one in this version.

    "auto" on a machine with CUDA trains on the CPU and says so (fallback_level 1); "cuda" is
    MissingRequirement in any case, with what is missing.
    """
    if device == "cuda":
        if not cuda_available():
            raise MissingRequirement("Training on CUDA needs an NVIDIA GPU that torch can use; use --device cpu.")
        raise MissingRequirement("Training on CUDA is not part of this version; use --device cpu.")
    level = int(device == "auto" and cuda_available())
    return Choice("cpu", "numba", level)


def open_device(choice: Choice, threads: int | None = None) -> Device:
    """The kernels of that choice; `threads` None means all cores of a CPU."""
    from reconstruction_pipeline.stages.splats.devices.cpu import CpuDevice

    return CpuDevice(threads)
