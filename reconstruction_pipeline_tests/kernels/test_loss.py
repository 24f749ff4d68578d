"""The fused loss against float64 autograd, and the evaluation metrics against their definitions."""

import numpy as np
import pytest

from reconstruction_pipeline.kernels.loss import gaussian_taps, l1_ssim
from reconstruction_pipeline.kernels.metrics import psnr, ssim


def reference(image, target, lambda_ssim, weight=None):
    """Loss, its parts and gradient by torch in float64, with an 11x11 convolution and padding 5."""
    import torch

    torch.set_num_threads(1)
    x = torch.tensor(image, dtype=torch.float64).permute(2, 0, 1)[None].requires_grad_()
    y = torch.tensor(target, dtype=torch.float64).permute(2, 0, 1)[None]
    offsets = torch.arange(11, dtype=torch.float64) - 5
    taps = torch.exp(-(offsets**2) / (2 * 1.5**2))
    taps = taps / taps.sum()
    window = (taps[:, None] * taps[None, :]).expand(3, 1, 11, 11)

    def blur(values):
        return torch.nn.functional.conv2d(values, window, padding=5, groups=3)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    values = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    w = torch.ones(image.shape[:2], dtype=torch.float64) if weight is None else torch.tensor(weight).double()
    mass = 3 * w.sum()
    l1 = ((x - y).abs() * w).sum() / mass
    similarity = (values * w).sum() / mass
    loss = (1 - lambda_ssim) * l1 + lambda_ssim * (1 - similarity)
    loss.backward()
    return float(loss.detach()), float(l1.detach()), float(similarity.detach()), x.grad[0].permute(1, 2, 0).numpy()


def pictures(height, width, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    smooth = 0.5 + 0.3 * np.sin(rows / 7.0)[..., None] * np.cos(columns / 5.0)[..., None]
    target = np.clip(smooth + 0.1 * rng.standard_normal((height, width, 3)), 0, 1)
    image = np.clip(target + 0.1 * rng.standard_normal(target.shape), 0, 1.2)
    return image.astype(np.float32), target.astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(37, 45), (64, 16), (130, 33), (5, 70), (1, 1)])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_value_and_gradient_match_autograd_up_to_the_borders(height, width, threads):
    image, target = pictures(height, width)
    value, gradient = l1_ssim(image, target, 0.2, threads=threads)
    loss, l1, similarity, expected = reference(image, target, 0.2)
    assert value.total == pytest.approx(loss, abs=2e-6)
    assert value.l1 == pytest.approx(l1, abs=1e-6)
    assert value.ssim == pytest.approx(similarity, abs=1e-5)
    assert np.linalg.norm(gradient - expected) <= 2e-5 * np.linalg.norm(expected)
    border = np.ones((height, width), bool)
    border[6:-6, 6:-6] = False
    assert np.linalg.norm((gradient - expected)[border]) <= 5e-5 * np.linalg.norm(expected[border])


def test_weights_and_masks():
    image, target = pictures(70, 40, seed=1)
    weight = np.random.default_rng(2).random((70, 40)).astype(np.float32)
    weight[20:40, 10:30] = 0.0
    value, gradient = l1_ssim(image, target, 0.35, weight=weight, threads=2)
    loss, _, _, expected = reference(image, target, 0.35, weight)
    assert value.total == pytest.approx(loss, abs=2e-6)
    assert np.linalg.norm(gradient - expected) <= 5e-5 * np.linalg.norm(expected)
    with pytest.raises(ValueError, match="sum to nothing"):
        l1_ssim(image, target, weight=np.zeros_like(weight))


def test_eight_bit_targets_are_read_as_fractions_of_255():
    image, target = pictures(48, 32)
    eight_bit = np.round(target * 255).astype(np.uint8)
    value, gradient = l1_ssim(image, eight_bit)
    same, expected = l1_ssim(image, (eight_bit / np.float32(255)).astype(np.float32))
    assert value.total == pytest.approx(same.total, abs=1e-6)
    np.testing.assert_allclose(gradient, expected, atol=1e-3 * np.abs(expected).max())


def test_equal_images_have_no_loss_and_no_gradient():
    image, _ = pictures(40, 40)
    value, gradient = l1_ssim(image, image.copy())
    assert value.total == pytest.approx(0.0, abs=1e-6)
    assert np.abs(gradient).max() * gradient.size < 1e-3


def test_flat_black_images_give_finite_gradients():
    black = np.zeros((33, 33, 3), np.float32)
    value, gradient = l1_ssim(black, np.full_like(black, 1.0))
    assert np.isfinite(gradient).all()
    assert value.l1 == pytest.approx(1.0)


def test_mismatched_shapes_are_refused():
    with pytest.raises(ValueError, match="must both be"):
        l1_ssim(np.zeros((4, 4, 3), np.float32), np.zeros((4, 5, 3), np.float32))


def test_taps_are_normalised_and_symmetric():
    taps = gaussian_taps()
    assert taps.sum() == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_array_equal(taps, taps[::-1])


def test_metrics_agree_with_the_definitions():
    image, target = pictures(60, 50)
    clipped = np.clip(image, 0, 1)
    assert psnr(image, target) == pytest.approx(-10 * np.log10(np.mean((clipped - target) ** 2)), abs=1e-4)
    _, _, similarity, _ = reference(clipped, target, 0.2)
    assert ssim(image, target) == pytest.approx(similarity, abs=1e-6)
    assert psnr(target, target) == 100.0
    assert ssim(target, target) == pytest.approx(1.0)
