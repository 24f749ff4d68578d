"""Which machine part trains: our CPU kernels, or CUDA through gsplat."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from reconstruction_pipeline.artifacts.errors import MissingRequirement
from reconstruction_pipeline.stages.splats.settings import Device


def nvidia_driver_present() -> bool:
    """Whether an NVIDIA driver is loaded, without importing torch (which would cost a CPU run seconds and memory)."""
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()


def cuda_available() -> bool:
    """What torch says, asked only where an NVIDIA driver is loaded."""
    if not nvidia_driver_present() or find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def choose_device(device: Device) -> Literal["cpu", "cuda"]:
    """"auto" takes CUDA where torch can use it and gsplat is installed; "cuda" without it is MissingRequirement."""
    if device == "cpu":
        return "cpu"
    usable = cuda_available() and find_spec("gsplat") is not None
    if device == "cuda" and not usable:
        raise MissingRequirement(
            "Training on CUDA needs gsplat and an NVIDIA GPU that torch can use; "
            "use --device cpu, or ask `reconstruct doctor` what is missing."
        )
    return "cuda" if usable else "cpu"
