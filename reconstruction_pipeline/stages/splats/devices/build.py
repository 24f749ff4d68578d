"""gsplat's CUDA kernels, built before they are needed."""

from __future__ import annotations

import importlib
import os
import shutil

from reconstruction_pipeline.artifacts.errors import MissingRequirement
from reconstruction_pipeline.stages.splats.devices.choose import INSTEAD, find_ninja


def require_kernels() -> None:
    """Load gsplat's kernels, building them where that was never done; MissingRequirement with what went wrong."""
    ninja = find_ninja()
    if ninja is not None and shutil.which("ninja") is None:
        # The build calls ninja by its name; in an environment that is not active it is not on the path.
        os.environ["PATH"] = os.pathsep.join((str(ninja.parent), os.environ.get("PATH", os.defpath)))
    try:
        compiled = importlib.import_module("gsplat.cuda._backend")._C
    except (RuntimeError, ImportError, OSError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise MissingRequirement(
            f"gsplat's CUDA kernels could not be built ({lines[0][:200]}); check nvcc and the C++ compiler, {INSTEAD}"
        ) from error
    if compiled is None:
        raise MissingRequirement(
            f"gsplat found no CUDA toolkit to build its kernels with; install nvcc or a compiled wheel, {INSTEAD}"
        )
