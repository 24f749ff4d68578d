"""The rasteriser against float64 autograd, and at the edges of what it may be given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.layout import LOG_SCALE, OPACITY, ROWS, SH, empty_planes, from_planes
from reconstruction_pipeline.kernels.rasterizer import Rasterizer
from reconstruction_pipeline.kernels.slots import bands
from reconstruction_pipeline_tests.kernels.gaussian_reference import (
    GROUPS,
    planes_of,
    random_scene,
    render,
    tensors,
    turned_view,
)

COUNT = 64
BACKGROUND = (0.2, 0.5, 0.1)


def relative_errors(grads: np.ndarray, expected: tuple[torch.Tensor, ...]) -> dict[str, float]:
    ours = from_planes(grads, len(expected[0]))
    return {
        name: float(np.linalg.norm(a - b.numpy()) / np.linalg.norm(b.numpy()))
        for name, a, b in zip(GROUPS, ours, expected, strict=True)
    }


@pytest.mark.parametrize("sh_degree", [0, 1, 2, 3])
def test_picture_and_gradients_equal_autograd(sh_degree: int) -> None:
    scene, view = random_scene(COUNT), turned_view()
    parameters = tensors(scene)
    expected = render(parameters, view, BACKGROUND, sh_degree)
    weights = np.random.default_rng(1).normal(size=expected.image.shape).astype(np.float32)
    gradients = torch.autograd.grad((expected.image * torch.tensor(weights)).sum(), parameters)

    rasterizer, planes = Rasterizer(), planes_of(scene)
    rendered = rasterizer.forward(planes, COUNT, view, sh_degree=sh_degree, background=BACKGROUND)
    assert np.abs(rendered.image - expected.image.detach().numpy()).max() <= 1e-5
    assert np.abs(rendered.alpha - expected.alpha.detach().numpy()).max() <= 1e-5
    grads = np.full_like(planes, np.nan)
    rasterizer.backward(weights, grads)
    errors = relative_errors(grads, gradients)
    assert max(errors.values()) <= 1e-4, errors
    unused = grads[SH + 3 * (sh_degree + 1) ** 2 :, :COUNT]
    assert not unused.any()


def test_depth_and_alpha_equal_autograd() -> None:
    scene, view = random_scene(COUNT, seed=3), turned_view(61, 50)
    parameters = tensors(scene)
    expected = render(parameters, view)
    rng = np.random.default_rng(2)
    by_image = rng.normal(size=expected.image.shape).astype(np.float32)
    by_depth, by_alpha = (rng.normal(size=expected.alpha.shape).astype(np.float32) for _ in range(2))
    loss = (expected.image * torch.tensor(by_image)).sum() + (expected.alpha * torch.tensor(by_alpha)).sum()
    loss = loss + (expected.expected_depth * torch.tensor(by_depth)).sum()
    gradients = torch.autograd.grad(loss, parameters)

    rasterizer, planes = Rasterizer(), planes_of(scene)
    rendered = rasterizer.forward(planes, COUNT, view, depth=True, contribution=True)
    assert rendered.expected_depth is not None and rendered.median_depth is not None
    assert rendered.contribution is not None
    np.testing.assert_allclose(rendered.expected_depth, expected.expected_depth.detach().numpy(), atol=1e-4)
    # A transmittance within rounding of 0.5 may fall on either side.
    wrong = np.abs(rendered.median_depth - expected.median_depth.numpy()) > 1e-4
    assert wrong.mean() < 0.002
    assert (rendered.median_depth > 0).any()
    np.testing.assert_allclose(rendered.contribution, expected.contribution.numpy(), rtol=1e-4, atol=1e-4)
    grads = np.empty_like(planes)
    rasterizer.backward(by_image, grads, grad_expected_depth=by_depth, grad_alpha=by_alpha)
    errors = relative_errors(grads, gradients)
    assert max(errors.values()) <= 1e-4, errors


def test_depth_does_not_change_the_picture() -> None:
    scene, view, rasterizer = planes_of(random_scene(COUNT)), turned_view(), Rasterizer()
    plain, full = (rasterizer.forward(scene, COUNT, view, depth=depth) for depth in (False, True))
    np.testing.assert_array_equal(plain.image, full.image)
    assert plain.expected_depth is None and full.expected_depth is not None


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 15), (33, 64), (130, 7)])
def test_any_size(size: tuple[int, int]) -> None:
    scene, view = random_scene(COUNT), turned_view(*size)
    expected = render(tensors(scene), view, BACKGROUND)
    rendered = Rasterizer().forward(planes_of(scene), COUNT, view, background=BACKGROUND)
    assert rendered.image.shape == (size[1], size[0], 3)
    assert np.abs(rendered.image - expected.image.detach().numpy()).max() <= 2e-5


def test_threads_give_the_same_numbers() -> None:
    scene, view = planes_of(random_scene(300, seed=5)), turned_view(150, 110)
    results = []
    for threads in (1, 2):
        rasterizer, grads = Rasterizer(threads), np.empty_like(scene)
        rendered = rasterizer.forward(scene, 300, view, depth=True, contribution=True)
        rasterizer.backward(rendered.image - 0.5, grads)
        results.append((rendered.image, rendered.median_depth, rendered.contribution, grads[:, :300]))
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


def test_buffers_survive_scenes_of_other_sizes() -> None:
    """A small picture after a large one, and back, equals what a fresh rasteriser gives."""
    small, large = planes_of(random_scene(20, seed=1)), planes_of(random_scene(400, seed=2))
    shared = Rasterizer()
    for planes, count, view in (
        (large, 400, turned_view(160, 90)),
        (small, 20, turned_view()),
        (large, 400, turned_view(30, 200)),
    ):
        grads, expected = np.empty_like(planes), np.empty_like(planes)
        rendered = shared.forward(planes, count, view)
        shared.backward(rendered.image, grads)
        fresh = Rasterizer()
        np.testing.assert_array_equal(fresh.forward(planes, count, view).image, rendered.image)
        fresh.backward(rendered.image, expected)
        np.testing.assert_array_equal(grads[:, :count], expected[:, :count])


@pytest.mark.parametrize("count", [0, 16])
def test_nothing_to_see_is_background(count: int) -> None:
    """No Gaussians at all, and only ones behind the camera."""
    planes, view, rasterizer = empty_planes(64), turned_view(), Rasterizer()
    planes[OPACITY, :count], planes[2, :count] = 3.0, -5.0
    rendered = rasterizer.forward(planes, count, view, background=BACKGROUND, depth=True)
    assert np.all(rendered.image == np.float32(BACKGROUND))
    assert not rendered.alpha.any() and rendered.expected_depth is not None and not rendered.expected_depth.any()
    assert not rasterizer.visible.any() and rasterizer.visible.shape == (count,)
    grads = np.full_like(planes, np.nan)
    rasterizer.backward(np.ones_like(rendered.image), grads)
    assert not grads[:, :count].any()


def test_columns_after_count_are_not_drawn() -> None:
    """Stale Gaussians behind the count, in the same group of sixteen, neither show nor get gradients."""
    scene, view, rasterizer = random_scene(COUNT), turned_view(), Rasterizer()
    planes, grads = planes_of(scene), np.empty((ROWS, COUNT), np.float32)
    rendered = rasterizer.forward(planes, 37, view)
    alone = Rasterizer().forward(planes_of(tuple(table[:37] for table in scene)), 37, view)
    np.testing.assert_array_equal(rendered.image, alone.image)
    rasterizer.backward(rendered.image, grads)
    assert grads[:, :37].any() and not grads[:, 37:48].any()


def test_extreme_parameters_stay_finite() -> None:
    rng = np.random.default_rng(0)
    planes, view, rasterizer = planes_of(random_scene(256)), turned_view(), Rasterizer()
    planes[OPACITY, :256] = rng.choice([-20.0, 20.0, 0.0, -200.0, 200.0], 256)
    planes[LOG_SCALE : LOG_SCALE + 3, :256] = rng.choice([-60.0, -12.0, -2.0, 3.0, 12.0, 60.0], (3, 256))
    planes[0:3, :256] *= rng.choice([1e-6, 1.0, 10.0, 1e6], 256)
    planes[6:10, :8] = 0.0
    rendered = rasterizer.forward(planes, 256, view, depth=True)
    grads = np.empty_like(planes)
    rasterizer.backward(np.ones_like(rendered.image), grads)
    assert rasterizer.visible.any()
    assert np.isfinite(rendered.image).all() and np.isfinite(grads).all()


def test_not_a_number_harms_only_its_own_gaussian() -> None:
    scene, view, rasterizer = random_scene(COUNT), turned_view(), Rasterizer()
    planes = planes_of(scene)
    planes[0, 5], planes[OPACITY, 9], planes[LOG_SCALE, 11] = np.nan, np.nan, np.nan
    rendered = rasterizer.forward(planes, COUNT, view)
    keep = np.setdiff1d(np.arange(COUNT), (5, 9, 11))
    without = Rasterizer().forward(planes_of(tuple(table[keep] for table in scene)), len(keep), view)
    np.testing.assert_allclose(rendered.image, without.image, atol=1e-6)
    assert not rasterizer.visible[[5, 9, 11]].any()


def test_nearer_hides_farther() -> None:
    """Three opaque sheets in one line of sight: only the nearest shows, whatever their order in memory."""
    view = PinholeView(np.eye(3), np.zeros(3), 20.0, 20.0, 16.0, 16.0, 32, 32)
    depths = np.array([5.0, 2.0, 9.0], np.float32)
    planes = empty_planes(3)
    planes[2, :3], planes[LOG_SCALE : LOG_SCALE + 3, :3], planes[OPACITY, :3] = depths, np.log(3.0), 20.0
    planes[SH : SH + 3, :3] = np.eye(3) / 0.28209479 - 0.5 / 0.28209479
    rendered = Rasterizer().forward(planes, 3, view, depth=True)
    # alpha is at most 0.99, so one hundredth of what is behind shines through.
    np.testing.assert_allclose(rendered.image[16, 16], (0.0099, 0.99, 0.0001), atol=2e-4)
    assert rendered.median_depth is not None
    np.testing.assert_allclose(rendered.median_depth[16, 16], 2.0)


def test_deep_stacks_of_opaque_sheets() -> None:
    """Two hundred opaque sheets over half the picture: light falls below what float32 holds, the rest stays right."""
    rng = np.random.default_rng(4)
    count, view = 200, PinholeView(np.eye(3), np.zeros(3), 20.0, 20.0, 16.0, 16.0, 32, 32)
    means = np.stack([np.full(count, -3.1), np.zeros(count), np.linspace(4, 5, count)], 1)
    scene = (means, np.tile((0.0, -0.3, -0.7), (count, 1)), rng.normal(size=(count, 4)), np.full(count, 6.0),
             rng.normal(size=(count, 16, 3)) * 0.1)  # fmt: skip
    scene = tuple(table.astype(np.float32) for table in scene)
    parameters, planes, rasterizer = tensors(scene), planes_of(scene), Rasterizer()
    expected = render(parameters, view)
    rendered = rasterizer.forward(planes, count, view)
    # What a finished block leaves out is at most its last ten-thousandth of light.
    assert np.abs(rendered.image - expected.image.detach().numpy()).max() < 2e-4
    gradients = torch.autograd.grad(expected.image.sum(), parameters)
    grads = np.empty_like(planes)
    rasterizer.backward(np.ones_like(rendered.image), grads)
    errors = relative_errors(grads, gradients)
    assert max(errors.values()) < 5e-3, errors


def test_finer_picture_of_the_same_camera_agrees() -> None:
    """A picture at twice the size, averaged back, is the picture: principal point and pixel centres scale rightly."""
    scene, view = planes_of(random_scene(COUNT)), turned_view(64, 48)
    scene[LOG_SCALE : LOG_SCALE + 3] += 1.2  # large against a pixel, so that the low-pass does not matter
    coarse = Rasterizer().forward(scene, COUNT, view).image
    fine = Rasterizer().forward(scene, COUNT, view.scaled(128, 96)).image
    averaged = fine.reshape(48, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(averaged - coarse).mean() < 2e-3


def test_wrong_input_is_refused() -> None:
    planes, view, rasterizer = empty_planes(16), turned_view(), Rasterizer()
    with pytest.raises(RuntimeError, match="forward"):
        rasterizer.backward(np.zeros((37, 45, 3), np.float32), np.zeros_like(planes))
    with pytest.raises(ValueError, match="float32"):
        rasterizer.forward(planes.astype(np.float64), 4, view)
    with pytest.raises(ValueError, match="at most"):
        rasterizer.forward(planes, 17, view)
    with pytest.raises(ValueError, match="near"):
        rasterizer.forward(planes, 4, view, near=0.0)
    with pytest.raises(ValueError, match="degree"):
        rasterizer.forward(planes, 4, view, sh_degree=4)
    rasterizer.forward(planes, 4, view)
    with pytest.raises(ValueError, match="depth=True"):
        rasterizer.backward(
            np.zeros((37, 45, 3), np.float32), np.zeros_like(planes), grad_expected_depth=np.zeros((37, 45), np.float32)
        )
    with pytest.raises(ValueError, match="shape"):
        rasterizer.backward(np.zeros((45, 37, 3), np.float32), np.zeros_like(planes))


def test_read_only_planes_are_accepted() -> None:
    planes, view = planes_of(random_scene(COUNT)), turned_view()
    expected = Rasterizer().forward(planes, COUNT, view).image
    planes.setflags(write=False)
    np.testing.assert_array_equal(Rasterizer().forward(planes, COUNT, view).image, expected)


@pytest.mark.parametrize("pairs_at_once", [1, 150, 700])
def test_bands_change_no_bit(pairs_at_once: int) -> None:
    """Backward with less memory than pairs, down to a band for each row of tiles."""
    planes, view = planes_of(random_scene(300, seed=5)), turned_view(100, 130)
    gradients = []
    for rasterizer in (Rasterizer(), Rasterizer(pairs_at_once=pairs_at_once)):
        rendered = rasterizer.forward(planes, 300, view, depth=True)
        for _ in range(2):
            grads = np.full_like(planes, np.nan)
            rasterizer.backward(rendered.image - 0.5, grads, grad_expected_depth=rendered.alpha)
            gradients.append(grads[:, :300])
    assert gradients[0].any()
    for others in gradients[1:]:
        np.testing.assert_array_equal(others, gradients[0])


def test_bands_cover_all_rows() -> None:
    starts = np.cumsum([0, 5, 5, 0, 0, 30, 1, 2, 2, 3, 4]).astype(np.int32)
    assert bands(starts, 2, 5, 10) == [(0, 2, 10), (2, 3, 31), (3, 4, 4), (4, 5, 7)]
    assert bands(starts, 2, 5, 1000) == [(0, 5, 52)]
    assert bands(np.zeros(11, np.int32), 2, 5, 1) == [(0, 5, 0)]
