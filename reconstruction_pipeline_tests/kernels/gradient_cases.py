"""Scenes at the edges of what a rasteriser meets, each with the picture and gradients that float64 autograd gives.

`python -m reconstruction_pipeline_tests.kernels.gradient_cases` prints how far the kernels are from them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.layout import from_planes
from reconstruction_pipeline.kernels.rasterizer import Rasterizer
from reconstruction_pipeline_tests.kernels.gaussian_reference import (
    GROUPS,
    planes_of,
    random_scene,
    render,
    tensors,
    turned_view,
)

Tables = tuple[np.ndarray, ...]
LOGIT_THRESHOLD = float(np.log(1 / 254))  # opacity 1/255, below which nothing is drawn
LOGIT_CLAMP = float(np.log(99))  # opacity 0.99, above which alpha stands still
COUNT = 48


class Case(NamedTuple):
    tables: Tables
    view: PinholeView
    background: tuple[float, float, float] = (0.2, 0.5, 0.1)
    depth: bool = False


def straight_view(width: int, height: int) -> PinholeView:
    """The identity camera with its principal point in the middle."""
    return PinholeView(np.eye(3), np.zeros(3), 40.0, 42.0, width / 2, height / 2, width, height)


def at_pixels(view: PinholeView, pixels: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """World positions (N,3) that project to `pixels` (N,2) at `depths` (N,)."""
    x = (pixels[:, 0] - view.cx) / view.fx * depths
    y = (pixels[:, 1] - view.cy) / view.fy * depths
    return (np.stack([x, y, depths], 1) - view.translation) @ view.rotation


def with_tables(seed: int, **changed: np.ndarray) -> Tables:
    """A random scene with some of its tables replaced."""
    scene = dict(zip(GROUPS, random_scene(COUNT, seed), strict=True))
    return tuple((scene | changed)[name].astype(np.float32) for name in GROUPS)


def ordinary() -> Case:
    return Case(random_scene(64), turned_view())


def tile_borders() -> Case:
    """Small splats centred on corners and sides of tiles and blocks, exactly and half a pixel off."""
    rng, view = np.random.default_rng(11), straight_view(61, 45)
    pixels = rng.choice([0, 4, 16, 32, 48, 60], (COUNT, 2)) + rng.choice([-0.5, 0.0, 0.5], (COUNT, 2))
    means = at_pixels(view, pixels, rng.uniform(2, 6, COUNT))
    return Case(with_tables(11, means=means, log_scales=np.log(rng.uniform(0.02, 0.25, (COUNT, 3)))), view)


def outside_the_picture() -> Case:
    """Centres beyond the border, many past the guard band where the affine approximation is held."""
    rng, view = np.random.default_rng(12), straight_view(50, 34)
    pixels = rng.choice([-1.0, 1.0], (COUNT, 2)) * rng.uniform(0.4, 1.2, (COUNT, 2)) * (50, 34) + (25, 17)
    scales = np.log(rng.uniform(0.2, 1.2, (COUNT, 3)))
    return Case(with_tables(12, means=at_pixels(view, pixels, rng.uniform(2, 5, COUNT)), log_scales=scales), view)


def behind_the_camera() -> Case:
    rng, view = np.random.default_rng(13), turned_view()
    depths = np.where(np.arange(COUNT) % 2 == 0, -rng.uniform(0.001, 5, COUNT), rng.uniform(2, 6, COUNT))
    pixels = rng.uniform(0, 1, (COUNT, 2)) * (view.width, view.height)
    return Case(with_tables(13, means=at_pixels(view, pixels, depths)), view)


def near_plane() -> Case:
    """Depths just on both sides of 0.01, with splats from a pixel to the whole picture."""
    rng, view = np.random.default_rng(14), straight_view(45, 37)
    depths = rng.choice([0.0095, 0.00999, 0.01001, 0.0105, 0.02], COUNT) * rng.uniform(1, 1.0001, COUNT)
    pixels = rng.uniform(0, 1, (COUNT, 2)) * (view.width, view.height)
    scales = np.log(rng.uniform(0.0002, 0.004, (COUNT, 3)))
    return Case(with_tables(14, means=at_pixels(view, pixels, depths), log_scales=scales), view)


def opacity_limits() -> Case:
    rng = np.random.default_rng(15)
    logits = rng.choice([-30.0, 30.0, LOGIT_THRESHOLD + 0.02, LOGIT_CLAMP + 0.02, 0.0], COUNT)
    return Case(with_tables(15, opacity_logits=logits), turned_view())


def zero_size() -> Case:
    """Nothing but the low-pass filter is left of them; not quite round, as a sphere's quaternion has no gradient."""
    return Case(with_tables(16, log_scales=np.random.default_rng(16).uniform(-31, -29, (COUNT, 3))), turned_view())


def huge() -> Case:
    """Nearly constant over the picture, so all that is left to move is opacity and colour."""
    scales = np.random.default_rng(17).uniform(7, 9, (COUNT, 3))
    return Case(with_tables(17, log_scales=scales, opacity_logits=np.full(COUNT, -3.0)), turned_view())


def needles_and_discs() -> Case:
    """Axes from zero size to huge in one splat."""
    rng = np.random.default_rng(18)
    scales = rng.choice([-30.0, -6.0, -2.0, 0.0, 8.0], (COUNT, 3), p=(0.25, 0.2, 0.3, 0.2, 0.05))
    return Case(with_tables(18, log_scales=scales), turned_view())


def long_needles() -> Case:
    """A hundred times longer than thick, across a picture of many tiles."""
    rng = np.random.default_rng(3)
    scales = np.log(rng.uniform(0.7, 1.4, (COUNT, 3)) * (1.0, 0.01, 0.01))
    return Case(with_tables(3, log_scales=scales, opacity_logits=rng.normal(size=COUNT) - 1), turned_view(131, 117))


def zero_quaternions() -> Case:
    """A quaternion of no length stands for no rotation and gets no gradient; its neighbours do."""
    quats = np.random.default_rng(19).normal(size=(COUNT, 4)) * np.where(np.arange(COUNT) % 3 == 0, 0.0, 3.0)[:, None]
    return Case(with_tables(19, quats=quats), turned_view())


def depth_and_alpha() -> Case:
    return Case(random_scene(64, seed=3), turned_view(61, 50), depth=True)


def depth_at_borders() -> Case:
    return tile_borders()._replace(depth=True)


CASES: dict[str, Callable[[], Case]] = {
    maker.__name__: maker
    for maker in (
        ordinary, tile_borders, outside_the_picture, behind_the_camera, near_plane, opacity_limits, zero_size, huge,
        needles_and_discs, long_needles, zero_quaternions, depth_and_alpha, depth_at_borders,
    )
}  # fmt: skip


class Errors(NamedTuple):
    """Largest differences of image and alpha; relative L2 of each gradient; gradients (59, N)."""

    image: float
    alpha: float
    gradients: dict[str, float]
    grads: np.ndarray


def errors_of(case: Case, seed: int = 1) -> Errors:
    """Render and differentiate with random weights on image (depth and alpha too if the case says so), both ways."""
    parameters, count = tensors(case.tables), len(case.tables[0])
    expected = render(parameters, case.view, case.background)
    rng = np.random.default_rng(seed)
    by_image = rng.normal(size=expected.image.shape).astype(np.float32)
    by_depth, by_alpha = (rng.normal(size=expected.alpha.shape).astype(np.float32) for _ in range(2))
    loss = (expected.image * torch.tensor(by_image)).sum()
    if case.depth:
        loss = loss + (expected.alpha * torch.tensor(by_alpha)).sum()
        loss = loss + (expected.expected_depth * torch.tensor(by_depth)).sum()
    wanted = torch.autograd.grad(loss, parameters)

    rasterizer, planes = Rasterizer(), planes_of(case.tables)
    rendered = rasterizer.forward(planes, count, case.view, background=case.background, depth=case.depth)
    grads = np.full_like(planes, np.nan)
    if case.depth:
        rasterizer.backward(by_image, grads, grad_expected_depth=by_depth, grad_alpha=by_alpha)
    else:
        rasterizer.backward(by_image, grads)
    return Errors(
        float(np.abs(rendered.image - expected.image.detach().numpy()).max()),
        float(np.abs(rendered.alpha - expected.alpha.detach().numpy()).max()),
        {
            name: relative_error(ours, theirs.numpy())
            for name, ours, theirs in zip(GROUPS, from_planes(grads, count), wanted, strict=True)
        },
        grads[:, :count],
    )


def relative_error(ours: np.ndarray, wanted: np.ndarray) -> float:
    """L2 of the difference over L2 of what is wanted, in double precision."""
    difference = float(np.linalg.norm(ours.astype(np.float64) - wanted))
    return difference / float(np.linalg.norm(wanted)) if difference else 0.0


def main() -> None:
    """Print a table of all cases."""
    print("| case | image | alpha | " + " | ".join(GROUPS) + " |\n|" + "---|" * (3 + len(GROUPS)))
    for name, maker in CASES.items():
        errors = errors_of(maker())
        cells = [errors.image, errors.alpha, *errors.gradients.values()]
        print(f"| {name.replace('_', ' ')} | " + " | ".join(f"{cell:.1e}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
