"""The training loop on torch tensors, by gsplat's conventions, beside the CPU's; and memory that runs out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from reconstruction_pipeline.artifacts.errors import Cancelled, MissingRequirement, StageFailed
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.stages.splats import memory_limits, optimise, train
from reconstruction_pipeline.stages.splats.devices import choose
from reconstruction_pipeline.stages.splats.devices.cpu import CpuDevice
from reconstruction_pipeline.stages.splats.devices.cuda import CudaDevice
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline_tests.stages.splats.torch_rasterization import rasterization

SHORT = TrainSettings(
    steps=100, seconds=None, max_splats=1600, max_size=24, holdout=6, seed=3, refine_every=10, exposure="on"
)


@pytest.fixture
def train_on(tiny_scene, monkeypatch):
    """A function that trains the tiny scene on a device that `choose` would not give on this machine."""

    def run(device, settings=SHORT, progress=None, **more):
        monkeypatch.setattr(train, "choose_device", lambda name: choose.Choice(device.name, device.backend, 0))
        monkeypatch.setattr(train, "open_device", lambda choice, threads: device)
        return train.train_splats(tiny_scene.views, tiny_scene.points, settings, progress or NullProgress(), **more)

    return run


def torch_device():
    return CudaDevice("cpu", rasterization)


def test_the_same_scene_is_learned_on_both_devices(train_on):
    ours, theirs = train_on(CpuDevice(1)), train_on(torch_device())
    for result in (ours, theirs):
        assert result.metrics["psnr_holdout_db"] > result.metrics["psnr_initial_db"] + 3.0
        assert all(gate.passed for gate in result.gates if gate.severity == "block")
    assert theirs.metrics["psnr_initial_db"] == pytest.approx(ours.metrics["psnr_initial_db"], abs=0.02)
    assert theirs.metrics["psnr_holdout_db"] == pytest.approx(ours.metrics["psnr_holdout_db"], abs=0.5)
    assert theirs.metrics["backend"] == "gsplat" and theirs.gaussians.count > 0.9 * ours.gaussians.count
    np.testing.assert_allclose(
        [row.loss for row in theirs.curve][:10], [row.loss for row in ours.curve][:10], rtol=0.02
    )


def test_a_run_on_one_device_goes_on_on_the_other(train_on, tmp_path, monkeypatch):
    class StopInTheMiddle:
        def report(self, stage, done, total, note=""):
            if stage == "training" and done >= 0.5:
                raise Cancelled("stopped")

    monkeypatch.setattr(optimise, "REPORT_SECONDS", 0.0)
    settings = replace(SHORT, steps=40)
    with pytest.raises(Cancelled):
        train_on(torch_device(), settings, StopInTheMiddle(), checkpoint_folder=tmp_path)
    resumed = train_on(CpuDevice(1), settings, checkpoint_folder=tmp_path, resume=True)
    assert resumed.metrics["steps"] == 40 and resumed.metrics["device"] == "cpu"
    assert resumed.metrics["psnr_holdout_db"] > resumed.metrics["psnr_initial_db"]


class SmallDevice(CudaDevice):
    """A device whose memory holds so many Gaussians, and which says so or does not."""

    def __init__(self, holds, says=None):
        super().__init__("cpu", rasterization)
        self.released, self._says = 0, says
        inner = self._gsplat

        class Rasterizer:
            def forward(self, planes, count, view, **options):
                if count > holds:
                    raise torch.OutOfMemoryError("CUDA out of memory.")
                return inner.forward(planes, count, view, **options)

            backward = staticmethod(inner.backward)

        self.rasterizer = Rasterizer()

    def memory_estimate(self, cap, pixels, views, bytes_per_pixel=3.0):
        return 1000 * cap + pixels * int(views * bytes_per_pixel)

    def memory_available(self):
        return self._says

    def release(self):
        self.released += 1
        super().release()


@pytest.fixture
def tiny_caps(monkeypatch):
    monkeypatch.setattr(memory_limits, "SMALLEST_CAP", 1100)
    monkeypatch.setattr("reconstruction_pipeline.stages.splats.devices.memory.SMALLEST_CAP", 1100)


def test_memory_that_runs_out_makes_the_cap_smaller_and_is_recorded(train_on, tiny_caps):
    settings = replace(SHORT, steps=30, max_splats=2000)
    device = SmallDevice(holds=1550)
    result = train_on(device, settings)
    assert device.released == 2  # when it ran out, and at the end
    assert result.metrics["cap"] == 1400 and result.metrics["cap_lowered_from"] == 2000
    assert result.metrics["steps"] == 30 and result.gaussians.count <= 1400
    assert result.metrics["psnr_holdout_db"] > result.metrics["psnr_initial_db"]
    gate = next(gate for gate in result.gates if gate.name == "cap_fits_memory")
    assert not gate.passed and gate.severity == "warn"


def test_memory_that_never_suffices_ends_with_a_sentence(train_on, tiny_caps):
    class Hopeless(SmallDevice):
        def all_finite(self, array):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(StageFailed, match=r"ran out even with 1120 splats; use --max-size"):
        train_on(Hopeless(holds=10_000), replace(SHORT, steps=20))


def test_a_cap_that_would_not_fit_is_lowered_before_the_start(train_on, tiny_caps):
    targets = 24 * 19 * 10 * 3
    result = train_on(SmallDevice(10_000, says=int((1300_000 + targets) / 0.9) + 1), replace(SHORT, steps=20))
    assert result.metrics["cap"] == 1300 and result.metrics["cap_lowered_from"] == 1600
    with pytest.raises(MissingRequirement, match=r"10 pictures of 24x19 needs .* GiB are free; use --max-size"):
        train_on(SmallDevice(10_000, says=1_000_000))
    assert train_on(CpuDevice(1), replace(SHORT, steps=5)).metrics["cap_lowered_from"] is None


def test_a_smaller_state_keeps_what_contributes_most(tiny_scene):
    from reconstruction_pipeline.stages.splats.initialisation import initial_gaussians
    from reconstruction_pipeline.stages.splats.state import CONTRIBUTION, LAST_EPOCH, new_state

    state = new_state(initial_gaussians(tiny_scene.points, SHORT), 1500, 10, False, 0)
    state.m[:] = np.arange(state.m.shape[1])
    rng = np.random.default_rng(0)
    state.tallies[:] = rng.uniform(size=state.tallies.shape)
    by_row = {row: np.sort(np.argsort(-state.tallies[row, :1500])[:1200]) for row in (LAST_EPOCH, CONTRIBUTION)}
    for views, epochs, row in ((0, 3, LAST_EPOCH), (5, 3, CONTRIBUTION)):
        small = memory_limits.shrunk(replace(state, contribution_views=views, epochs=epochs), 1200)
        assert small.count == 1200 and small.planes.shape[1] >= 1200
        np.testing.assert_array_equal(small.m[0, :1200], by_row[row])
        np.testing.assert_array_equal(small.planes[:, :1200], state.planes[:, by_row[row]])
    larger = memory_limits.shrunk(replace(state), 4000)
    assert larger.count == 1500 and np.array_equal(larger.planes[:, :1500], state.planes[:, :1500])
