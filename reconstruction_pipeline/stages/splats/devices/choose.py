"""Which device trains: what was asked for, and what this machine has."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, get_args

from reconstruction_pipeline.artifacts.errors import MissingRequirement, UsageError
from reconstruction_pipeline.stages.splats.devices.base import Device
from reconstruction_pipeline.stages.splats.settings import DeviceName

OLDEST_CAPABILITY = (7, 0)
"""Volta: gsplat's kernels use what older GPUs lack."""
NO_GPU = "Training on CUDA needs an NVIDIA GPU that torch can use"
INSTEAD = "or use --device cpu."


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
    """`device` and `backend` to train with; `fallback_level` is 0 for the best this machine has.

    `reason` says why it is not the best one asked for, and is empty at level 0.
    """

    device: str
    backend: str
    fallback_level: int
    reason: str = ""

    @property
    def metrics(self) -> dict[str, Any]:
        """As `metrics.json` has it: `fallback_reason` only where there is one."""
        rows = self._asdict()
        reason = rows.pop("reason")
        return {**rows, **({"fallback_reason": reason} if reason else {})}


ON_CPU, ON_CUDA = Choice("cpu", "numba", 0), Choice("cuda", "gsplat", 0)


def choose_device(device: DeviceName) -> Choice:
    """The trainer for a device.

    "auto" takes CUDA where there is a GPU that gsplat can train on, and else the CPU: at level 1, with the reason,
    where a GPU is there but cannot be used. "cuda" raises MissingRequirement, with what is missing and what to do.
    """
    if device not in get_args(DeviceName):
        raise UsageError(f"There is no device '{device}'; choose auto, cpu or cuda.")
    if device == "cpu":
        return ON_CPU
    if not cuda_available():
        if device == "cuda":
            raise MissingRequirement(f"{NO_GPU}; {_why_no_cuda()}, {INSTEAD}")
        return ON_CPU
    obstacle = cuda_obstacle()
    if obstacle is None:
        return ON_CUDA
    if device == "cuda":
        raise MissingRequirement(f"{obstacle}, {INSTEAD}")
    return Choice("cpu", "numba", 1, f"{obstacle}.")


def _why_no_cuda() -> str:
    """What to do where torch sees no GPU."""
    if not nvidia_driver_present():
        return "no NVIDIA driver is loaded here: run where there is one (containers need --gpus all)"
    return "a driver is loaded, but torch cannot use it: install a build of torch for CUDA and a recent driver"


def cuda_obstacle() -> str | None:
    """Why gsplat cannot train on the GPU that torch sees: what is wrong and what to do, without a full stop; or None.

    gsplat has no compiled kernels in its wheel: they are built at first use, which takes nvcc, ninja and a C++
    compiler, unless a wheel that carries them is installed.
    """
    import torch

    capability = torch.cuda.get_device_capability(0)
    if tuple(capability) < OLDEST_CAPABILITY:
        name, shown = torch.cuda.get_device_name(0), ".".join(map(str, capability))
        return f"{name} has compute capability {shown} and gsplat needs 7.0: use a newer GPU"
    if find_spec("gsplat") is None:
        return "gsplat is not installed: install it with 'pip install gsplat'"
    return None if _compiled_kernels() else _build_obstacle(torch.version.cuda)


def missing_cuda_parts() -> str | None:
    """What this installation lacks for training on CUDA, whatever GPU there is, as in `cuda_obstacle`."""
    if find_spec("torch") is None or find_spec("gsplat") is None:
        return "torch or gsplat is not installed: run 'make setup'"
    import torch

    if torch.version.cuda is None:
        return "torch is built for the CPU alone: install a build of torch for CUDA"
    return None if _compiled_kernels() else _build_obstacle(torch.version.cuda)


def _compiled_kernels() -> bool:
    """Whether the installed gsplat carries its kernels."""
    package = find_spec("gsplat")
    places = (package.submodule_search_locations if package else None) or []
    return any(found for place in places for found in Path(place).glob("csrc*.so"))


def describe_cuda() -> str:
    """The GPU that `choose_device` takes, its capability and memory, and where gsplat's kernels come from."""
    import torch

    free, total = torch.cuda.mem_get_info(0)
    capability = ".".join(map(str, torch.cuda.get_device_capability(0)))
    kernels = "installed" if _compiled_kernels() else "built at the first training (minutes, once)"
    return (
        f"{torch.cuda.get_device_name(0)}, compute capability {capability}, "
        f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free, gsplat's kernels {kernels}"
    )


def _build_obstacle(torch_cuda: str | None) -> str | None:
    """What is missing to build gsplat's kernels, as in `cuda_obstacle`."""
    nvcc = find_nvcc()
    advice = "install it, or a gsplat wheel with compiled kernels"
    if nvcc is None:
        return f"gsplat's CUDA kernels are not built and the CUDA toolkit (nvcc) is missing: {advice}"
    if find_ninja() is None:
        return f"gsplat's CUDA kernels are not built and ninja is missing: {advice}"
    if shutil.which("c++") is None and shutil.which("g++") is None:
        return f"gsplat's CUDA kernels are not built and a C++ compiler (g++) is missing: {advice}"
    if not has_python_headers():
        return f"gsplat's CUDA kernels are not built and Python's headers (python3-dev) are missing: {advice}"
    version = _nvcc_version(nvcc)
    if torch_cuda and version and version.split(".")[0] != torch_cuda.split(".")[0]:
        return (
            f"gsplat's CUDA kernels are not built and nvcc is of CUDA {version} while torch is of CUDA {torch_cuda}: "
            "install the toolkit of torch's version, or a gsplat wheel with compiled kernels"
        )
    return None


def find_nvcc() -> Path | None:
    """The CUDA compiler where torch's and gsplat's builds look for it."""
    from torch.utils.cpp_extension import CUDA_HOME

    inside = Path(CUDA_HOME) / "bin" / "nvcc" if CUDA_HOME else None
    if inside is not None and inside.is_file():
        return inside
    found = shutil.which("nvcc")
    return Path(found) if found else None


def find_ninja() -> Path | None:
    """ninja on the search path, or beside this interpreter, where pip puts it (the environment need not be active)."""
    found = shutil.which("ninja") or shutil.which("ninja", path=str(Path(sys.executable).parent))
    return Path(found) if found else None


def has_python_headers() -> bool:
    """Whether C++ can be compiled against this Python."""
    return Path(sysconfig.get_path("include"), "Python.h").is_file()


def _nvcc_version(nvcc: Path) -> str:
    """ "12.8" from `nvcc --version`, or nothing."""
    printed = subprocess.run([str(nvcc), "--version"], capture_output=True, text=True, check=False, timeout=60).stdout
    _, _, rest = printed.partition("release ")
    return rest.split(",")[0].strip()


def open_device(choice: Choice, threads: int | None = None) -> Device:
    """The kernels of that choice; `threads` None means all cores of a CPU.

    For CUDA this builds gsplat's kernels if that was never done (minutes, once a machine). Raises
    MissingRequirement if the build fails.
    """
    if choice.device == "cuda":
        from reconstruction_pipeline.stages.splats.devices.build import require_kernels
        from reconstruction_pipeline.stages.splats.devices.cuda import CudaDevice

        require_kernels()
        return CudaDevice()
    from reconstruction_pipeline.stages.splats.devices.cpu import CpuDevice

    return CpuDevice(threads)
