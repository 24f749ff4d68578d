"""Masks, cut-out objects, measured depth and needles in training."""

from dataclasses import replace

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.kernels.rasterizer import Rasterizer
from reconstruction_pipeline.stages.splats.devices.cpu import CpuDevice
from reconstruction_pipeline.stages.splats.evaluate import NEAR, renderer, score
from reconstruction_pipeline.stages.splats.initialisation import initial_gaussians
from reconstruction_pipeline.stages.splats.losses import DEPTH_TOLERANCE, depth_loss
from reconstruction_pipeline.stages.splats.normalisation import normalise
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline.stages.splats.state import new_state, to_planes
from reconstruction_pipeline.stages.splats.steps import refine
from reconstruction_pipeline.stages.splats.targets import targets_at
from reconstruction_pipeline.stages.splats.train import train_splats
from reconstruction_pipeline.stages.splats.views import load_view

SHORT = TrainSettings(steps=250, seconds=None, max_splats=2000, holdout=6, seed=1, device="cpu", refine_every=25)


def trained(scene, views, settings=SHORT):
    return train_splats(views, scene.points, settings, NullProgress())


def psnr_on_clean(scene, result):
    clean = [load_view(view) for view in scene.views[::6]]
    return np.mean([row.psnr for row in score(renderer(result.gaussians, [v.camera for v in clean]), clean)])


def spoiled(view, number):
    """The view with a red square that wanders over it, and the mask that hides it."""
    picture, mask = view.load().copy(), np.full(view.load().shape[:2], 255, np.uint8)
    top, left = 5 + 3 * number, 10 + 4 * number
    picture[top : top + 20, left : left + 24] = (255, 0, 0)
    mask[top : top + 20, left : left + 24] = 0
    return replace(view, load=lambda: picture), replace(view, load=lambda: picture, load_mask=lambda: mask)


def test_what_a_mask_hides_is_not_learned_and_not_scored(tiny_scene):
    pairs = [spoiled(view, number) for number, view in enumerate(tiny_scene.views)]
    without, masked = (trained(tiny_scene, list(views)) for views in zip(*pairs, strict=True))
    assert psnr_on_clean(tiny_scene, masked) > psnr_on_clean(tiny_scene, without) + 3.0
    # The score of a masked view is that of what it shows of the scene.
    assert masked.metrics["psnr_holdout_db"] == pytest.approx(psnr_on_clean(tiny_scene, masked), abs=1.5)


def test_a_cut_out_object_stays_clear_around(tiny_scene):
    """The scene's left half declared transparent: nothing may be drawn there, not even the colour of a background."""
    views = []
    for view in tiny_scene.views:
        alpha = np.full((*view.load().shape[:2], 1), 255, np.uint8)
        alpha[:, :30] = 0
        picture = np.concatenate([view.load(), alpha], axis=2)
        views.append(replace(view, load=lambda picture=picture: picture))
    result = trained(tiny_scene, views)
    cameras = [view.camera for view in views]
    frame = normalise(cameras, result.gaussians.means)
    planes = to_planes(frame.apply(result.gaussians))
    pictures = [Rasterizer().forward(planes, result.gaussians.count, frame.camera(c), near=NEAR) for c in cameras]
    outside = np.mean([picture.alpha[:, :26].mean() for picture in pictures])
    inside = np.mean([picture.alpha[:, 34:].mean() for picture in pictures])
    assert outside < 0.1 and inside > 0.75, (outside, inside)


def test_premultiplied_pictures_and_picked_depth(tiny_scene):
    picture = np.zeros((64, 80, 4), np.uint8)
    picture[..., 0], picture[..., 3] = 200, 128
    depth = np.where(np.arange(40) % 2, 2.0, 4.0).astype(np.float32)[None].repeat(32, axis=0)
    view = replace(tiny_scene.views[0], load=lambda: picture, load_depth=lambda: depth)
    loaded = load_view(view)
    assert loaded.image[0, 0].tolist() == [100, 0, 0] and loaded.alpha[0, 0] == 128
    target = targets_at([loaded], 2, CpuDevice())[0]
    assert target.image.shape == (32, 40, 3) and target.depth.shape == (32, 40)
    assert set(np.unique(targets_at([loaded], 1, CpuDevice())[0].depth)) == {2.0, 4.0}
    over = CpuDevice().composite(target.image, target.alpha, (0.0, 1.0, 0.0))
    np.testing.assert_allclose(over[0, 0], (100 / 255, 127 / 255, 0.0), atol=1e-6)


def test_the_depth_loss_is_robust_and_its_gradient_is_its_own():
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 3, (6, 8)).astype(np.float32)
    expected = (depth * rng.uniform(0.9, 1.1, depth.shape)).astype(np.float32)
    depth[0], expected[1] = 0.0, 0.0  # unknown, and nothing drawn
    expected[2] = depth[2] * (1 + 2 * DEPTH_TOLERANCE)  # an occluder that the map did not see
    value, gradient = depth_loss(expected, depth, 0.5)
    assert not gradient[:3].any() and gradient[3:].all() and value > 0
    for y, x in ((3, 0), (4, 5), (5, 7)):
        moved = expected.astype(np.float64)
        moved[y, x] += 1e-3
        high = depth_loss(moved, depth.astype(np.float64), 0.5)[0]
        moved[y, x] -= 2e-3
        low = depth_loss(moved, depth.astype(np.float64), 0.5)[0]
        assert (high - low) / 2e-3 == pytest.approx(gradient[y, x], rel=1e-3)


def test_depth_moves_gaussians_onto_the_measured_surface(tiny_scene):
    """Started 12 % too far away, colours alone take long to notice; depth does not."""
    cameras = [view.camera for view in tiny_scene.views]
    frame = normalise(cameras, tiny_scene.truth.means)
    planes = to_planes(frame.apply(tiny_scene.truth))
    rasterizer, views = Rasterizer(), []
    for view in tiny_scene.views:
        drawn = rasterizer.forward(planes, tiny_scene.truth.count, frame.camera(view.camera), near=NEAR, depth=True)
        depth = np.where(drawn.alpha > 0.9, drawn.expected_depth * frame.scale, 0).astype(np.float32)
        views.append(replace(view, load_depth=lambda depth=depth: depth))
    center = np.mean([camera.center for camera in cameras], axis=0)
    far = tiny_scene.points._replace(xyz=center + 1.12 * (tiny_scene.points.xyz - center))
    scene = replace(tiny_scene, points=far)

    def error(weight):
        settings = replace(SHORT, steps=120, depth_weight=weight, depth_every=2)
        result = trained(scene, views, settings)
        inside = to_planes(frame.apply(result.gaussians))
        errors = []
        for view in views:
            drawn = rasterizer.forward(inside, result.gaussians.count, frame.camera(view.camera), near=NEAR, depth=True)
            known = view.load_depth() > 0
            errors.append(np.median(np.abs(drawn.expected_depth[known] * frame.scale / view.load_depth()[known] - 1)))
        return np.mean(errors)

    without, with_depth = error(0.0), error(2.0)
    assert with_depth < 0.6 * without, (with_depth, without)


def test_needles_are_shortened_and_discs_left_alone(tiny_scene):
    from reconstruction_pipeline.stages.splats.schedule import InitialPoints, plan

    state = new_state(initial_gaussians(tiny_scene.points, SHORT), 2000, 12, False, 0)
    rows = slice(layout.LOG_SCALE, layout.LOG_SCALE + 3)
    state.planes[rows, 0] = np.log([1.0, 0.01, 0.02])
    state.planes[rows, 1] = np.log([1.0, 0.9, 0.001])
    before = state.planes[rows, 1].copy()
    settings = replace(SHORT, max_elongation=8.0)
    refine(state, CpuDevice(), plan(settings, 80, 64, InitialPoints(1500)), settings, 1.0)
    np.testing.assert_allclose(np.exp(state.planes[rows, 0]), [0.16, 0.01, 0.02], rtol=1e-5)
    np.testing.assert_array_equal(state.planes[rows, 1], before)
