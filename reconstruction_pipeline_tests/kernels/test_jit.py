"""Compilation: the cache follows helper modules, and kernels run without a cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import reconstruction_pipeline.kernels as kernels
from reconstruction_pipeline.kernels.jit import _dependencies, source_digest

ROOT = Path(__file__).parents[2]


def run(code: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *code],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_the_digest_covers_what_a_kernel_is_made_of() -> None:
    package = kernels.__name__
    modules = _dependencies(f"{package}.raster_backward", frozenset())
    assert {f"{package}.{name}" for name in ("simd", "simd_math", "raster_forward", "projection", "layout")} <= modules
    assert f"{package}.adam" not in modules
    assert source_digest(f"{package}.adam") != source_digest(f"{package}.raster_backward")


@pytest.mark.slow
def test_an_edited_helper_is_compiled_again(tmp_path: Path) -> None:
    """The helper keeps its length and modification time, so only its contents tell."""
    package = tmp_path / "reconstruction_pipeline" / "kernels"
    package.mkdir(parents=True)
    shutil.copy(Path(kernels.__file__).parent / "jit.py", package)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    helper, user = package / "helper.py", package / "user.py"
    user.write_text(
        "from reconstruction_pipeline.kernels.helper import value\n"
        "from reconstruction_pipeline.kernels.jit import kernel\n"
        "@kernel()\ndef answer():\n    return value()\n"
    )
    call = ["-c", "from reconstruction_pipeline.kernels.user import answer as a; print(a(), len(a.stats.cache_hits))"]
    seen = []
    for number in (11, 11, 22):
        text = f"from reconstruction_pipeline.kernels.jit import inline\n@inline\ndef value():\n    return {number}\n"
        helper.write_text(text)
        os.utime(helper, (1_000_000_000, 1_000_000_000))
        result = run(call, tmp_path, PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1")
        assert result.returncode == 0, result.stderr
        seen.append(result.stdout.split())
    assert seen == [["11", "0"], ["11", "1"], ["22", "0"]]


@pytest.mark.slow
def test_kernels_work_where_nothing_can_be_cached(tmp_path: Path) -> None:
    """A cache folder that cannot be made must not keep kernels from running."""
    blocked = tmp_path / "file"
    blocked.touch()
    code = (
        "import numba.core.caching as c; c.CacheImpl._locator_classes = []\n"
        "from reconstruction_pipeline.kernels.calibration import multiply_add as f\n"
        "assert f(3, 1.0) > 0 and not f.stats.cache_hits and type(f._cache).__name__ == 'NullCache'"
    )
    result = run(["-c", code], tmp_path, PYTHONPATH=str(ROOT))
    assert result.returncode == 0, result.stderr
