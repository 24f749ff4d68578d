"""gsplat's side of the `Rasterizer` against our CPU kernels, on gsplat's own reference functions."""

import numpy as np
import pytest
import torch

from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.kernels.rasterizer import Rasterizer
from reconstruction_pipeline.stages.splats.devices.gsplat_rasterizer import GsplatRasterizer
from reconstruction_pipeline_tests.kernels.gaussian_reference import planes_of, random_scene, turned_view
from reconstruction_pipeline_tests.stages.splats.torch_rasterization import rasterization

BACKGROUND = (0.3, 0.6, 0.1)
GROUPS = {
    "means": slice(0, 3),
    "log scales": slice(3, 6),
    "quaternions": slice(6, 10),
    "logits": slice(10, 11),
    "base colour": slice(11, 14),
    "SH above": slice(14, 59),
}


def scene(count=64, seed=0, opaque=False):
    tables = list(random_scene(count, seed))
    if not opaque:  # above 0.99 the two clamp differently
        tables[3] = np.minimum(tables[3], 4.0)
    return planes_of(tuple(tables))


def both(planes, count, view, **options):
    ours, theirs = Rasterizer(1), GsplatRasterizer(rasterization)
    return (ours, ours.forward(planes, count, view, **options)), (
        theirs,
        theirs.forward(torch.tensor(planes), count, view, **options),
    )


def gradients(ours, theirs, planes, view, depth=False, alpha=False):
    rng = np.random.default_rng(5)
    shape = (view.height, view.width)
    by_image = rng.normal(size=(*shape, 3)).astype(np.float32)
    more = {
        "grad_expected_depth": rng.normal(size=shape).astype(np.float32) if depth else None,
        "grad_alpha": rng.normal(size=shape).astype(np.float32) if alpha else None,
    }
    expected, found = np.full_like(planes, 7.0), torch.full(planes.shape, 7.0)
    ours.backward(by_image, expected, **more)
    tensors = {key: None if value is None else torch.tensor(value) for key, value in more.items()}
    theirs.backward(torch.tensor(by_image), found, **tensors)
    return expected, found.numpy()


def test_pictures_depth_and_contribution_agree():
    planes, view = scene(), turned_view()
    options = {"background": BACKGROUND, "depth": True, "contribution": True, "near": 0.5}
    (_, ours), (_, theirs) = both(planes, 60, view, **options)
    np.testing.assert_allclose(theirs.image, ours.image, atol=3e-4)
    np.testing.assert_allclose(theirs.alpha, ours.alpha, atol=3e-4)
    np.testing.assert_allclose(theirs.expected_depth, ours.expected_depth, atol=2e-3)
    np.testing.assert_allclose(theirs.contribution, ours.contribution, rtol=2e-3, atol=2e-2)
    assert theirs.contribution.shape == (60,) and not theirs.image.requires_grad


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_gradients_of_every_group_agree(degree):
    planes, view = scene(), turned_view()
    options = {"background": BACKGROUND, "depth": True, "sh_degree": degree}
    (ours, _), (theirs, _) = both(planes, 60, view, **options)
    expected, found = gradients(ours, theirs, planes, view, depth=True, alpha=True)
    assert not found[:, 60:].any()
    for name, rows in GROUPS.items():
        error = np.linalg.norm(found[rows] - expected[rows])
        assert error <= 2e-3 * np.linalg.norm(expected[rows]), name
    unused = layout.SH + 3 * (degree + 1) ** 2
    assert not found[unused:].any()


def test_where_gaussians_are_opaque_pictures_differ_by_the_clamp_alone():
    planes, view = scene(opaque=True), turned_view()
    planes[layout.OPACITY] += 4.0
    (_, ours), (_, theirs) = both(planes, 64, view)
    difference = np.abs(theirs.image.numpy() - ours.image)
    assert 1e-3 < difference.max() < 0.02


def test_near_plane_and_what_cannot_be_drawn():
    planes, view = scene(), turned_view()
    planes[layout.LOG_SCALE, 0] = 60.0  # would overflow
    planes[layout.LOG_SCALE : layout.QUAT, 1] = -200.0  # underflows: a dot as large as the low pass
    planes[layout.QUAT : layout.OPACITY, 2] = 0.0  # means no rotation
    planes[layout.MEAN : layout.LOG_SCALE, 3] = view.center  # at the camera
    planes[layout.OPACITY, 4] = -200.0
    planes[layout.OPACITY, 5] = 200.0
    (ours, first), (theirs, second) = both(planes, 64, view, background=BACKGROUND)
    assert np.isfinite(second.image.numpy()).all()
    np.testing.assert_allclose(second.image, first.image, atol=0.012)
    _, found = gradients(ours, theirs, planes, view)
    assert np.isfinite(found).all()
    assert not found[:, 0].any() and not found[:, 3].any() and not found[:, 4].any()


def test_nothing_to_draw_is_the_background():
    planes, view = scene(), turned_view()
    theirs = GsplatRasterizer(rasterization)
    options = {"background": BACKGROUND, "depth": True, "contribution": True}
    for count, source in ((0, planes), (4, _behind(planes, view))):
        rendered = theirs.forward(torch.tensor(source), count, view, **options)
        np.testing.assert_allclose(rendered.image, np.broadcast_to(np.float32(BACKGROUND), rendered.image.shape))
        assert not rendered.alpha.any() and not rendered.expected_depth.any() and not rendered.contribution.any()
        grads = torch.full(planes.shape, 7.0)
        theirs.backward(torch.ones_like(rendered.image), grads)
        assert not grads.any()


def _behind(planes, view):
    behind = planes.copy()
    behind[layout.MEAN : layout.LOG_SCALE] = (view.center - 5.0 * view.rotation[2])[:, None]
    return behind


def test_gradients_belong_to_the_last_forward_and_only_once():
    planes, view = torch.tensor(scene()), turned_view()
    theirs = GsplatRasterizer(rasterization)
    grads = torch.zeros_like(planes)
    with pytest.raises(RuntimeError, match="forward before"):
        theirs.backward(torch.ones(view.height, view.width, 3), grads)
    image = theirs.forward(planes, 64, view).image
    with pytest.raises(ValueError, match="depth=True"):
        theirs.backward(torch.ones_like(image), grads, grad_expected_depth=torch.ones_like(image[..., 0]))
    image = theirs.forward(planes, 64, view).image
    theirs.backward(torch.ones_like(image), grads)
    with pytest.raises(RuntimeError, match="forward before"):
        theirs.backward(torch.ones_like(image), grads)


def test_cameras_are_told_apart_even_if_their_place_in_memory_is_used_again():
    planes = torch.tensor(scene())
    theirs = GsplatRasterizer(rasterization)
    pictures = [theirs.forward(planes, 64, turned_view(40 + k, 30)).image for k in range(5)]
    for k, picture in enumerate(pictures):
        again = GsplatRasterizer(rasterization).forward(planes, 64, turned_view(40 + k, 30)).image
        assert torch.equal(picture, again)
