"""What this machine has and lacks for reconstruction; the substance of `reconstruct doctor`."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, MissingRequirement
from reconstruction_pipeline.settings import load_settings


@dataclass(frozen=True)
class Finding:
    """One part of a machine: whether it is there, in detail, and what its absence costs."""

    part: str
    present: bool
    detail: str
    cost: str = ""
    needed: bool = True


def examine(cuda: bool = False) -> list[Finding]:
    """Look at everything a run may use; `cuda` makes what a GPU needs a needed part.

    Not the GPU itself: an image is made where there is none, and must not be made without the parts.
    """
    parts = [_cores(), _memory(), _disk(), *_modules(), _codec(), _threading(), _viewer(), _lpips(), _depth_model()]
    return [*parts, _cuda_parts(needed=cuda), _gpu(needed=False), *_programs()]


def _cores() -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Finding("processor", True, f"{count} cores, {platform.machine()}")


def _memory() -> Finding:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    total = pages * size / 2**30
    return Finding("memory", total >= 4, f"{total:.1f} GiB", "a scene needs about 4 GiB; larger ones fail.")


def _disk() -> Finding:
    folder = load_settings().scratch
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    return Finding("disk", free >= 2, f"{free:.1f} GB free in {folder}", "a scene needs about 2 GB.")


def _modules() -> list[Finding]:
    parts = {
        "numba": "training and depth cannot run.",
        "av": "videos cannot be read.",
        "cv2": "pictures cannot be read.",
        "open3d": "no mesh; install the system libraries libegl1 libgl1 libusb-1.0-0.",
        "torch": "no training on a GPU.",
        "dagster": "no pipeline.",
    }
    return [_module(name, cost) for name, cost in parts.items()] + [_pycolmap()]


def _module(name: str, cost: str) -> Finding:
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:
        return Finding(name, False, f"cannot be imported: {error}", cost)
    return Finding(name, True, str(getattr(module, "__version__", "present")))


def _pycolmap() -> Finding:
    # Not imported: it must not share a process with other users of zlib.
    found = importlib.util.find_spec("pycolmap") is not None
    return Finding("pycolmap", found, "present" if found else "not installed", "no camera poses.")


def _codec() -> Finding:
    try:
        import av

        names = [name for name in ("h264", "hevc", "av1", "vp9", "prores") if name in av.codecs_available]
    except ImportError:
        names = []
    return Finding("video codecs", "h264" in names, ", ".join(names), "videos of that kind cannot be read.")


def _threading() -> Finding:
    try:
        importlib.import_module("numba.np.ufunc.omppool")
    except ImportError as error:
        return Finding(
            "OpenMP", False, str(error), "kernels use one queue; install the system library libgomp1.", False
        )
    return Finding("OpenMP", True, "numba's kernels run on it")


def _viewer() -> Finding:
    from reconstruction_pipeline.viewer import vendor

    try:
        vendor.template()
    except MissingRequirement as error:
        return Finding("viewer", False, str(error), "no viewer.html.")
    return Finding("viewer", True, str(vendor.VENDOR))


def _lpips() -> Finding:
    from reconstruction_pipeline.stages.splats.lpips import SUBFOLDER, find_lpips, missing

    cost = "LPIPS of held-out views is null; nothing else changes."
    weights = load_settings().weights
    if absent := missing(weights):
        wanted = ", ".join(f"{file.url} ({file.licence})" for file in absent)
        return Finding("LPIPS", False, f"not in {weights / SUBFOLDER}: {wanted}", cost, needed=False)
    try:
        find_lpips(weights)
    except InvalidArtifact as error:
        return Finding("LPIPS", False, str(error), "runs that would measure it stop before training.", needed=False)
    return Finding("LPIPS", True, str(weights / SUBFOLDER), needed=False)


def _depth_model() -> Finding:
    from reconstruction_pipeline.stages.depth.monocular.session import DepthModel
    from reconstruction_pipeline.stages.depth.monocular.weights import COMMAND, DEPTH_ANYTHING, default_path, find_model

    places, cost = load_settings(), "depth is multi-view alone; nothing else changes."
    try:
        if (file := find_model(places.weights, places.depth_model)) is None:
            wanted = f"{DEPTH_ANYTHING.url} ({DEPTH_ANYTHING.licence}), which '{COMMAND}' fetches"
            where = default_path(places.weights)
            return Finding("depth model", False, f"no {where}: {wanted}", cost, needed=False)
        provider = DepthModel(file.path).provider
    except (InvalidArtifact, MissingRequirement) as error:
        return Finding("depth model", False, str(error), cost, needed=False)
    return Finding("depth model", True, f"{file.path} (SHA-256 {file.sha256}) on {provider}", needed=False)


def _cuda_parts(needed: bool) -> Finding:
    from reconstruction_pipeline.stages.splats.devices.choose import missing_cuda_parts

    if missing := missing_cuda_parts():
        return Finding("CUDA parts", False, missing, "a GPU would not be used.", needed)
    return Finding("CUDA parts", True, "torch for CUDA, and gsplat's kernels or what builds them", needed=needed)


def _gpu(needed: bool) -> Finding:
    from reconstruction_pipeline.stages.splats.devices.choose import choose_device, describe_cuda

    cost = "training takes minutes on the cores instead of seconds."
    try:
        choose_device("cuda")
    except MissingRequirement as error:
        return Finding("GPU", False, str(error), cost, needed)
    return Finding("GPU", True, describe_cuda(), needed=needed)


def _programs() -> list[Finding]:
    """External programs: those that this deployment has chosen are needed, the others may be chosen."""
    from reconstruction_pipeline.external.health import examine_programs
    from reconstruction_pipeline.external.selection import parse_selection

    operation = load_settings().operation
    chosen = set(parse_selection(operation.external).values())
    folders = (operation.programs,) if operation.programs else ()
    return [
        Finding(
            part=f"external {found.name}",
            present=found.present,
            detail=found.detail,
            cost=found.problem,
            needed=bool({found.name, found.path} & chosen),
        )
        for found in examine_programs(folders, chosen)
    ]
