"""Compile every kernel ahead of time, so that the first training does not wait for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STEPS = ("forward", "backward", "loss", "optimiser", "noise", "colour", "compression")


def compile_all(progress_callback: Callable[[float, str], None] | None = None) -> None:
    """Run every kernel of training and rendering once on tiny data, which fills numba's cache on disk.

    Takes about 25 s of one core the first time and a second afterwards.  `progress_callback(fraction, what)` is
    called before each part and at the end.
    """
    from reconstruction_pipeline.kernels.adam import adam_step
    from reconstruction_pipeline.kernels.cheapest import cheapest_codes, cheapest_rotations
    from reconstruction_pipeline.kernels.colour import fitted_gain, scale_channels
    from reconstruction_pipeline.kernels.langevin import add_colour_gradient, add_noise, regularise
    from reconstruction_pipeline.kernels.layout import ROWS, aligned_zeros
    from reconstruction_pipeline.kernels.loss import l1_ssim
    from reconstruction_pipeline.kernels.made_scene import bench_view, made_scene
    from reconstruction_pipeline.kernels.nearest import nearest
    from reconstruction_pipeline.kernels.rasterizer import Rasterizer
    from reconstruction_pipeline.kernels.sparse_rounding import first_bits, sparse_round

    def report(step: int) -> None:
        if progress_callback is not None:
            progress_callback(step / len(STEPS), STEPS[step] if step < len(STEPS) else "")

    count = 64
    planes, view = made_scene(count), bench_view(36, 52)
    rasterizer = Rasterizer(pairs_at_once=1)  # in bands, which needs two kernels more
    grads, m, v = (aligned_zeros(planes.shape) for _ in range(3))
    report(0)
    rendered = rasterizer.forward(planes, count, view, depth=True, contribution=True)
    report(1)
    rasterizer.backward(np.ones_like(rendered.image), grads)
    report(2)
    target = np.full((*rendered.alpha.shape, 3), 127, np.uint8)
    gradient = l1_ssim(rendered.image, target)[1]
    l1_ssim(rendered.image, (target / np.float32(255)).astype(np.float32))
    report(3)
    adam_step(planes, grads, m, v, count, np.full(ROWS, 1e-3), 1)
    report(4)
    regularise(planes, grads, count, 0.01, 0.01)
    add_noise(planes, count, 1.0, 0, 0)
    add_colour_gradient(grads, count, np.zeros(planes.shape[1], np.float32))
    report(5)
    gain = fitted_gain(rendered.image, target).astype(np.float32)
    scale_channels(gradient, gain)
    report(6)
    ones = np.ones((count, 4), np.float32)
    cheapest_codes(ones[:, 0], ones[:, 0], np.zeros(256), np.zeros(256), 1.0)
    cheapest_rotations(0.5 * ones, ones[:, :3], 0.5 * ones[:1], np.arange(3)[None], np.zeros((4, 256)), 1.0)
    sparse_round(np.ones((count, 3, 3), np.float32), ones[:, 0], np.eye(3, dtype=np.float32), 0.1, 1.0, first_bits())
    nearest(ones, ones[:3])
    report(len(STEPS))


if __name__ == "__main__":
    compile_all(lambda fraction, what: print(f"compiling kernels: {fraction:4.0%} {what}", flush=True))
