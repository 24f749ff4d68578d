"""The same step on other instruction sets and with other numbers of threads, each in a process of its own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline_tests.kernels.small_step import step

ROOT = Path(__file__).parents[2]
# What numba is told to compile for, what the host must have for that, and the registers it is expected to use.
TARGETS = {
    "haswell": ("avx2", "ymm"),
    "nehalem": ("sse4.2", "xmm"),
    "skylake-avx512": ("avx512vl", "zmm"),
}


def elsewhere(threads: int, file: Path, **environment: str) -> tuple[Mapping[str, np.ndarray], str]:
    """The step's numbers from another process, and what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "reconstruction_pipeline_tests.kernels.small_step", str(threads), str(file)],
        cwd=ROOT,
        env={**os.environ, "NUMBA_NUM_THREADS": str(threads), **environment},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return np.load(file), result.stdout.strip()


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the processors named here are x86")
@pytest.mark.parametrize("processor", ["haswell", "nehalem", pytest.param("skylake-avx512", marks=pytest.mark.soak)])
def test_instruction_sets_agree(processor: str, tmp_path: Path) -> None:
    """AVX2, SSE and AVX-512 code, compiled into a cache of its own, gives the native code's numbers."""
    from llvmlite import binding

    feature, registers = TARGETS[processor]
    if not binding.get_host_cpu_features().get(feature):
        pytest.skip(f"this machine has no {feature}")
    environment = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    theirs, said = elsewhere(2, tmp_path / "step.npz", **environment)
    assert said == registers
    for name, ours in step(2).items():
        difference = np.linalg.norm((theirs[name] - ours).astype(np.float64))
        assert difference <= 1e-5 * np.linalg.norm(ours.astype(np.float64)), name


@pytest.mark.slow
def test_threads_and_repetition_change_no_bit(tmp_path: Path) -> None:
    """One, two and three threads (more than there may be cores), and one and three threads twice."""
    expected = step(1)
    for name, values in step(1).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    runs = [elsewhere(threads, tmp_path / f"{k}.npz")[0] for k, threads in enumerate((2, 3, 3))]
    for name, values in expected.items():
        np.testing.assert_array_equal(runs[1][name], runs[2][name], err_msg=name)
        if name != "loss":  # its sum over bands of rows is the one number whose last bits may differ
            for numbers in runs:
                np.testing.assert_array_equal(numbers[name], values, err_msg=name)
