"""Which device trains, on machines that this one is not: what torch and the search path say is replaced."""

import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch

from reconstruction_pipeline.artifacts.errors import MissingRequirement, UsageError
from reconstruction_pipeline.stages.splats.devices import build, choose
from reconstruction_pipeline.stages.splats.devices.choose import choose_device, open_device


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """A machine with a GPU, the toolkit and all else that gsplat's build needs; returns what tests may take away."""
    nvcc = tmp_path / "nvcc"
    nvcc.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 12.8, V12.8.93'\n")
    nvcc.chmod(0o755)
    monkeypatch.setattr(choose, "cuda_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    monkeypatch.setattr(torch.version, "cuda", "12.4")
    monkeypatch.setattr(choose, "find_nvcc", lambda: nvcc)
    monkeypatch.setattr(choose, "find_ninja", lambda: Path("/usr/bin/ninja"))
    monkeypatch.setattr(choose, "has_python_headers", lambda: True)
    monkeypatch.setattr(choose.shutil, "which", lambda name, path=None: f"/usr/bin/{name}")
    return monkeypatch


def test_without_a_gpu_auto_is_the_cpu_and_nothing_was_missed(monkeypatch):
    monkeypatch.setattr(choose, "cuda_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == ("cpu", "numba", 0, "")
    assert choose_device("auto").metrics == {"device": "cpu", "backend": "numba", "fallback_level": 0}


def test_there_are_no_other_devices():
    with pytest.raises(UsageError, match="no device 'tpu'"):
        choose_device("tpu")


@pytest.mark.parametrize(("driver", "advice"), [(False, "no NVIDIA driver"), (True, "build of torch for CUDA")])
def test_cuda_without_a_gpu_says_what_to_do(monkeypatch, driver, advice):
    monkeypatch.setattr(choose, "cuda_available", lambda: False)
    monkeypatch.setattr(choose, "nvidia_driver_present", lambda: driver)
    with pytest.raises(MissingRequirement, match=f"needs an NVIDIA GPU.*{advice}.*--device cpu"):
        choose_device("cuda")


def test_torch_is_not_even_imported_where_no_driver_is_loaded(monkeypatch):
    monkeypatch.setattr(choose, "nvidia_driver_present", lambda: False)
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it would raise
    assert choose_device("auto").device == "cpu"


def test_a_gpu_that_gsplat_can_use_is_taken(gpu):
    assert choose_device("auto") == choose_device("cuda") == ("cuda", "gsplat", 0, "")
    assert choose_device("cpu").device == "cpu" and choose_device("cpu").fallback_level == 0


OBSTACLES = {
    "old": (lambda patch: patch.setattr(torch.cuda, "get_device_capability", lambda device: (6, 1)), "capability 6.1"),
    "nvcc": (lambda patch: patch.setattr(choose, "find_nvcc", lambda: None), r"\(nvcc\) is missing"),
    "ninja": (lambda patch: patch.setattr(choose, "find_ninja", lambda: None), "ninja is missing"),
    "g++": (lambda patch: patch.setattr(choose.shutil, "which", lambda name, path=None: None), r"\(g\+\+\) is missing"),
    "Python.h": (lambda patch: patch.setattr(choose, "has_python_headers", lambda: False), "python3-dev"),
    "version": (lambda patch: patch.setattr(torch.version, "cuda", "13.0"), "CUDA 12.8 while torch is of CUDA 13.0"),
    "gsplat": (lambda patch: patch.setattr(choose, "find_spec", lambda name: None), "gsplat is not installed"),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_a_gpu_that_cannot_be_used_is_recorded_by_auto_and_explained_by_cuda(gpu, name):
    take_away, reason = OBSTACLES[name]
    take_away(gpu)
    choice = choose_device("auto")
    assert choice[:3] == ("cpu", "numba", 1)
    with pytest.raises(MissingRequirement, match=f"{reason}.*: .*, or use --device cpu"):
        choose_device("cuda")
    assert choice.metrics["fallback_reason"] == choice.reason and choice.reason.endswith(".")


def test_a_wheel_with_compiled_kernels_needs_no_toolkit(gpu, tmp_path):
    gpu.setattr(choose, "find_nvcc", lambda: None)
    package = ModuleSpec("gsplat", None, is_package=True)
    package.submodule_search_locations = [str(tmp_path)]
    gpu.setattr(choose, "find_spec", lambda name: package)
    assert choose_device("auto").fallback_level == 1
    (tmp_path / "csrc.cpython-311-x86_64-linux-gnu.so").touch()
    assert choose_device("auto").device == "cuda"


def test_ninja_is_found_beside_the_interpreter(monkeypatch, tmp_path):
    (tmp_path / "ninja").write_text("#!/bin/sh\n")
    (tmp_path / "ninja").chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(choose.sys, "executable", str(tmp_path / "python"))
    assert choose.find_ninja() == tmp_path / "ninja"
    assert choose.find_nvcc() is None or choose.find_nvcc().is_file()


class _Backend:
    _C = None


def test_a_build_that_fails_is_one_sentence(monkeypatch):
    def fail(name):
        raise RuntimeError("Error building extension 'gsplat_cuda': nvcc fatal\nmore lines")

    monkeypatch.setenv("PATH", os.environ["PATH"])  # put back afterwards, if the build's ninja is added to it
    monkeypatch.setattr(build.importlib, "import_module", fail)
    with pytest.raises(MissingRequirement, match=r"could not be built .*nvcc fatal.*--device cpu"):
        open_device(choose.ON_CUDA)
    monkeypatch.setattr(build.importlib, "import_module", lambda name: _Backend)
    with pytest.raises(MissingRequirement, match="no CUDA toolkit"):
        open_device(choose.ON_CUDA)


def test_the_doctor_knows_the_gpu_or_what_it_lacks(gpu):
    from reconstruction_pipeline.diagnosis import _gpu

    gpu.setattr(torch.cuda, "mem_get_info", lambda device: (20 * 2**30, 24 * 2**30))
    found = _gpu(needed=True)
    assert found.present and found.needed
    assert found.detail.startswith("Some GPU, compute capability 8.9, 20.0 of 24.0 GiB free")
    assert "built at the first training" in found.detail
    gpu.setattr(choose, "find_nvcc", lambda: None)
    lacking = _gpu(needed=False)
    assert not lacking.present and "nvcc" in lacking.detail and not lacking.needed
