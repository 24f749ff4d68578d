"""The GPU benchmark, as far as it goes without one."""

from benchmarks import gpu
from reconstruction_pipeline.artifacts.errors import MissingRequirement
from reconstruction_pipeline.stages.splats.devices.cuda import CudaDevice
from reconstruction_pipeline_tests.stages.splats.torch_rasterization import rasterization


def test_a_row_is_measured_and_shown():
    row = gpu.measure(CudaDevice("cpu", rasterization), 300, 24, 32, steps=2)
    assert row.steps_per_second > 0 and row.estimated_bytes > 0 and row.peak_bytes is None
    lines = gpu.table([row]).splitlines()
    assert len(lines) == 3 and lines[2].startswith("| 300 | 24x32 |") and len({line.count("|") for line in lines}) == 1


def test_without_a_gpu_it_says_why(monkeypatch, capsys):
    def refuse(device):
        raise MissingRequirement("Training on CUDA needs an NVIDIA GPU.")

    monkeypatch.setattr(gpu, "choose_device", refuse)
    gpu.main()
    assert capsys.readouterr().out == "skipped: Training on CUDA needs an NVIDIA GPU.\n"
