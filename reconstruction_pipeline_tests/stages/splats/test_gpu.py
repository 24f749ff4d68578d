"""gsplat's own kernels, on a GPU: against ours on the same scene, on the real fox, and out of memory."""

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import read_model
from reconstruction_pipeline.artifacts.errors import MissingRequirement
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.kernels.loss import l1_ssim
from reconstruction_pipeline.stages.splats.devices import choose_device, open_device
from reconstruction_pipeline.stages.splats.devices.cuda import CudaDevice
from reconstruction_pipeline.stages.splats.inputs import points_of, views_of
from reconstruction_pipeline.stages.splats.recipes import resolved, with_cuda
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline.stages.splats.train import train_splats
from reconstruction_pipeline_tests.kernels.gaussian_reference import turned_view
from reconstruction_pipeline_tests.stages.captures import real_capture
from reconstruction_pipeline_tests.stages.splats.test_gsplat_rasterizer import BACKGROUND, GROUPS, gradients, scene

pytestmark = [pytest.mark.gpu, pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def cuda():
    try:
        choice = choose_device("cuda")
    except MissingRequirement as error:
        pytest.skip(str(error))
    return open_device(choice)


class OnHost:
    """A device's rasteriser that takes and gives arrays of the host, so that tests of the other can be run on it."""

    def __init__(self, device):
        self._device = device

    def backward(self, by_image, grads, **more):
        there = self._device.put(grads.numpy())
        put = {key: None if value is None else self._device.put(value.numpy()) for key, value in more.items()}
        self._device.rasterizer.backward(self._device.put(by_image.numpy()), there, **put)
        grads.copy_(there.cpu())


@pytest.mark.parametrize("degree", [0, 3])
def test_pictures_and_gradients_are_those_of_our_kernels(cuda, degree):
    from reconstruction_pipeline.kernels.rasterizer import Rasterizer

    planes, view, ours = scene(), turned_view(), Rasterizer()
    options = {"background": BACKGROUND, "sh_degree": degree, "depth": True, "contribution": True}
    expected = ours.forward(planes, 60, view, **options)
    found = cuda.rasterizer.forward(cuda.put(planes), 60, view, **options)
    np.testing.assert_allclose(cuda.get(found.image), expected.image, atol=5e-4)
    np.testing.assert_allclose(cuda.get(found.alpha), expected.alpha, atol=5e-4)
    np.testing.assert_allclose(cuda.get(found.expected_depth), expected.expected_depth, atol=4e-3)
    np.testing.assert_allclose(cuda.get(found.contribution), expected.contribution, rtol=5e-3, atol=5e-2)
    by_ours, by_gsplat = gradients(ours, OnHost(cuda), planes, view, depth=True, alpha=True)
    for name, rows in GROUPS.items():
        error = np.linalg.norm(by_gsplat[rows] - by_ours[rows])
        assert error <= 5e-3 * np.linalg.norm(by_ours[rows]), name


def test_what_cannot_be_drawn_makes_no_nan(cuda):
    planes, view = scene(), turned_view()
    planes[3, 0], planes[3:6, 1], planes[6:10, 2] = 60.0, -200.0, 0.0
    planes[:3, 3] = view.center
    image = cuda.rasterizer.forward(cuda.put(planes), 64, view, depth=True).image
    grads = cuda.put(np.full_like(planes, 7.0))
    cuda.rasterizer.backward(image, grads)
    assert cuda.all_finite(image) and cuda.all_finite(grads)
    nothing = cuda.rasterizer.forward(cuda.put(planes), 0, view, background=BACKGROUND).image
    np.testing.assert_allclose(cuda.get(nothing)[0, 0], BACKGROUND, rtol=1e-6)


def test_loss_and_adam_are_those_of_our_kernels(cuda):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 256, size=(90, 120, 3)).astype(np.uint8)
    image = np.clip(target / 255.0 + rng.normal(0, 0.02, target.shape), 0, 1).astype(np.float32)
    expected, by_image = l1_ssim(image, target)
    found, gradient = cuda.l1_ssim(cuda.put(image), cuda.put(target), 0.2)
    assert float(found.total) == pytest.approx(expected.total, rel=1e-4)
    assert np.linalg.norm(cuda.get(gradient) - by_image) < 1e-3 * np.linalg.norm(by_image)
    arrays = [rng.normal(size=(59, 64)).astype(np.float32) for _ in range(4)]
    arrays[3] = np.abs(arrays[3])
    theirs, reference = [cuda.put(array) for array in arrays], CudaDevice("cpu", lambda *_: None)
    host = [reference.put(array) for array in arrays]
    rates = np.linspace(1e-3, 1e-2, 59, dtype=np.float32)
    for device, there in ((cuda, theirs), (reference, host)):
        device.adam_step(*there, 50, rates, 3, 0.9, 0.999)
    for ours, there in zip(host, theirs, strict=True):
        np.testing.assert_allclose(cuda.get(there), ours, rtol=1e-5, atol=1e-6)


def fox():
    folder = real_capture("fox_480")
    model = read_model(folder / "sparse" / "0")
    return views_of(model, lambda name: folder / "images" / name), points_of(model)


def test_fox_by_the_published_recipe(cuda):
    views, points = fox()
    settings = with_cuda(TrainSettings(holdout=8, device="cuda"), steps=7_000)
    result = train_splats(views, points, settings, NullProgress())
    assert result.metrics["device"] == "cuda" and result.metrics["fallback_level"] == 0
    # The same recipe has 27.3 dB on our CPU kernels after 2 000 steps with 20 000 Gaussians.
    assert result.metrics["psnr_holdout_db"] > 28.5
    assert all(gate.passed for gate in result.gates)


def test_memory_that_runs_out_on_the_gpu(cuda, monkeypatch):
    import torch

    views, points = fox()
    total = torch.cuda.get_device_properties(0).total_memory
    monkeypatch.setattr(CudaDevice, "memory_available", lambda self: None)  # so that only running out tells
    wanted = TrainSettings(holdout=8, device="cuda", refine_every=10)
    settings = with_cuda(wanted, steps=200, max_splats=1_000_000)
    assert resolved(settings, "cuda").max_splats == 1_000_000
    torch.cuda.set_per_process_memory_fraction(700e6 / total)
    try:
        result = train_splats(views, points, settings, NullProgress())
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert result.metrics["cap_lowered_from"] == 1_000_000 and result.metrics["cap"] <= 700_000
    assert result.metrics["steps"] == 200
