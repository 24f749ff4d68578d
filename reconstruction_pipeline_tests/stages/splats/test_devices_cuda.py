"""Everything a CUDA device does, on CPU tensors, against the CPU device."""

import math

import numpy as np
import pytest
import torch

from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.stages.splats import schedule
from reconstruction_pipeline.stages.splats.devices import torch_update
from reconstruction_pipeline.stages.splats.devices.cpu import CpuDevice
from reconstruction_pipeline.stages.splats.devices.cuda import CudaDevice
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline_tests.kernels.gaussian_reference import planes_of, random_scene
from reconstruction_pipeline_tests.stages.splats.torch_rasterization import rasterization

CPU = CpuDevice(1)
COUNT = 60


@pytest.fixture(scope="module")
def torch_device():
    return CudaDevice("cpu", rasterization)


@pytest.fixture
def arrays():
    """planes, grads, m, v: 60 Gaussians in 64 columns, moments and gradients zero beyond them."""
    rng = np.random.default_rng(1)
    planes = planes_of(random_scene(COUNT))
    grads, m, v = (layout.aligned_zeros(planes.shape) for _ in range(3))
    for array in (grads, m, v):
        array[:, :COUNT] = rng.normal(size=(59, COUNT)) * 10.0 ** rng.integers(-9, 2, size=(59, 1))
    np.abs(v, out=v)
    return planes, grads, m, v


def pictures(height=37, width=45, seed=2):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 256, size=(height, width, 3)).astype(np.uint8)
    image = (target / 255.0 + rng.normal(size=target.shape) * 0.1).astype(np.float32)
    image[:8, :8] = target[:8, :8] * np.float32(1.0 / 255.0)  # equal: no gradient of L1
    return image, target


def test_arrays_are_copied_there_and_back(torch_device):
    for array in (np.arange(6, dtype=np.int64).reshape(2, 3).T, np.ones(3, np.uint8), np.array([True, False])):
        there = torch_device.put(array)
        back = torch_device.get(there)
        np.testing.assert_array_equal(back, array)
        assert back.dtype == array.dtype and not np.shares_memory(back, array)
        there[0] = 0
        assert np.array_equal(back, array)
    frozen = np.ones(3, np.float32)
    frozen.flags.writeable = False
    torch_device.put(frozen)[0] = 2.0
    assert frozen[0] == 1.0


@pytest.mark.parametrize("kind", ["uint8", "float32", "weighted", "masked"])
def test_loss_and_its_gradient(torch_device, kind):
    image, target = pictures()
    rng = np.random.default_rng(3)
    weight = None
    if kind == "float32":
        target = target.astype(np.float32) / np.float32(255.0)
    if kind == "weighted":
        weight = rng.uniform(size=image.shape[:2]).astype(np.float32)
    if kind == "masked":
        weight = np.zeros(image.shape[:2], np.float32)
        weight[5:20, 9:30] = 1.0
    put = torch_device.put
    expected, by_image = CPU.l1_ssim(image, target, 0.2, weight)
    found, gradient = torch_device.l1_ssim(put(image), put(target), 0.2, None if weight is None else put(weight))
    for name in ("total", "l1", "ssim"):
        assert float(getattr(found, name)) == pytest.approx(getattr(expected, name), rel=2e-5), name
    assert math.isfinite(found.total)
    error = np.linalg.norm(gradient.numpy() - by_image) / np.linalg.norm(by_image)
    assert error < 1e-4
    assert gradient.is_contiguous() and gradient.shape == image.shape


def test_loss_gradient_is_that_of_autograd(torch_device):
    image, target = (torch.tensor(array) for array in pictures(20, 23))
    image.requires_grad_()
    loss, gradient = torch_device.l1_ssim(image, target, 0.2)
    loss.total.backward()
    assert torch.linalg.norm(gradient.detach() - image.grad) < 1e-4 * torch.linalg.norm(image.grad)


def test_pictures_of_different_size_are_refused(torch_device):
    with pytest.raises(ValueError, match="must both be"):
        torch_device.l1_ssim(torch.zeros(4, 5, 3), torch.zeros(5, 4, 3), 0.2)


def test_depth_loss(torch_device):
    rng = np.random.default_rng(4)
    depth = rng.uniform(0.5, 4.0, size=(20, 30)).astype(np.float32)
    expected = (depth * rng.normal(1.0, 0.15, size=depth.shape)).astype(np.float32)
    depth[:4], expected[10:12] = 0.0, 0.0
    value, gradient = CPU.depth_loss(expected, depth, 0.3)
    found, by_expected = torch_device.depth_loss(torch.tensor(expected), torch.tensor(depth), 0.3)
    assert float(found) == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(by_expected, gradient, rtol=1e-5, atol=1e-9)
    nothing, flat = torch_device.depth_loss(torch.tensor(expected), torch.zeros(20, 30), 0.3)
    assert float(nothing) == 0.0 and not flat.any()


def test_composite_and_gains(torch_device):
    image, target = pictures()
    alpha = np.random.default_rng(5).integers(0, 256, size=target.shape[:2]).astype(np.uint8)
    colour = (0.2, 0.9, 0.4)
    put = torch_device.put
    over = torch_device.composite(put(target), put(alpha), colour)
    np.testing.assert_allclose(over, CPU.composite(target, alpha, colour), atol=1e-6)
    image[:, :, 2] = 0.0  # black has no gain
    gain = torch_device.fitted_gain(put(image), put(target))
    np.testing.assert_allclose(gain, CPU.fitted_gain(image, target), rtol=1e-5)
    assert isinstance(gain, np.ndarray) and gain[2] == 1.0
    half = np.array([0.5, 1.0, 2.0], np.float32)
    np.testing.assert_allclose(
        torch_device.scale_channels(put(image), half), CPU.scale_channels(image, half), rtol=1e-6
    )


def test_adam_takes_the_same_steps(torch_device, arrays):
    rates = schedule.learning_rates(0.3, TrainSettings(), 2.0)
    planes, grads, m, v = arrays
    theirs = [torch.tensor(array) for array in arrays]
    for step in (1, 2, 50):
        CPU.adam_step(planes, grads, m, v, COUNT, rates, step, 0.9, 0.999)
        torch_device.adam_step(*theirs, COUNT, rates, step, 0.9, 0.999)
    for name, ours, found in zip(("planes", "grads", "m", "v"), arrays, theirs, strict=True):
        np.testing.assert_allclose(found, ours, rtol=2e-5, atol=3e-6 if name == "planes" else 1e-12, err_msg=name)


def test_adam_leaves_columns_beyond_the_count_and_follows_new_arrays(torch_device, arrays):
    rates = np.linspace(1e-3, 2e-3, 59, dtype=np.float32)
    for count in (COUNT, 30, 64):
        start = [torch.tensor(array) for array in arrays]
        moved = [tensor.clone() for tensor in start]
        moved[1] = torch.ones_like(moved[1])
        torch_device.adam_step(*moved, count, rates, 1, 0.9, 0.999)
        assert not torch.equal(moved[0][:, :count], start[0][:, :count])
        assert torch.equal(moved[0][:, count:], start[0][:, count:])


def test_noise_displaces_by_the_covariance(arrays):
    planes = arrays[0].copy()
    planes[layout.OPACITY, :COUNT] = np.linspace(-9.0, 2.0, COUNT)
    normals = np.random.default_rng(6).normal(size=(3, COUNT)).astype(np.float32)
    found = torch_update.displacement(torch.tensor(planes), COUNT, 50.0, torch.tensor(normals)).numpy()
    opacity = 1.0 / (1.0 + np.exp(-planes[layout.OPACITY, :COUNT].astype(float)))
    gate = 50.0 / (1.0 + np.exp(100.0 * (opacity - 0.005)))
    for i in range(COUNT):
        w, x, y, z = planes[layout.QUAT : layout.QUAT + 4, i] / np.linalg.norm(planes[layout.QUAT : layout.QUAT + 4, i])
        turn = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        sigma = turn @ np.diag(np.exp(2.0 * planes[layout.LOG_SCALE : layout.QUAT, i])) @ turn.T
        wanted = gate[i] * sigma @ normals[:, i] if planes[layout.OPACITY, i] <= -1.75 else np.zeros(3)
        np.testing.assert_allclose(found[:, i], wanted, rtol=1e-3, atol=1e-6)


def test_noise_has_the_spread_of_the_cpus_and_depends_on_seed_and_step(torch_device):
    many = layout.to_planes(
        np.zeros((20_000, 3)),
        np.log(np.tile([0.3, 0.1, 0.2], (20_000, 1))),
        np.tile([0.8, 0.2, -0.4, 0.1], (20_000, 1)),
        np.full(20_000, -6.0),
        np.zeros((20_000, 1, 3)),
    )
    ours, theirs, again, other = many.copy(), torch.tensor(many), torch.tensor(many), torch.tensor(many)
    CPU.add_noise(ours, 20_000, 3.0, 1, 7)
    torch_device.add_noise(theirs, 20_000, 3.0, 1, 7)
    torch_device.add_noise(again, 20_000, 3.0, 1, 7)
    torch_device.add_noise(other, 20_000, 3.0, 1, 8)
    assert torch.equal(theirs, again) and not torch.equal(theirs, other)
    assert torch.equal(theirs[3:], torch.tensor(many)[3:])
    spreads = [np.cov(planes[:3, :20_000]) for planes in (ours, theirs.numpy())]
    np.testing.assert_allclose(spreads[1], spreads[0], atol=0.05 * np.abs(spreads[0]).max())


def test_regularisers_and_scores(torch_device, arrays):
    planes, grads, _, _ = arrays
    theirs, ours = torch.tensor(grads), grads.copy()
    CPU.regularise(planes, ours, COUNT, 0.01, 0.02)
    torch_device.regularise(torch.tensor(planes), theirs, COUNT, 0.01, 0.02)
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-9)
    score, found = np.ones(64, np.float32), torch.ones(64)
    CPU.add_colour_gradient(grads, COUNT, score)
    torch_device.add_colour_gradient(torch.tensor(grads), COUNT, found)
    np.testing.assert_allclose(found, score, rtol=1e-5)


def test_opacities(torch_device, arrays):
    found = torch_device.opacities(torch.tensor(arrays[0]), COUNT)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, CPU.opacities(arrays[0], COUNT), rtol=1e-12)


def test_numbers_that_are_none_are_seen(torch_device):
    array = torch.zeros(59, 16)
    assert torch_device.all_finite(array)
    array[3, 2] = math.nan
    assert not torch_device.all_finite(array)
