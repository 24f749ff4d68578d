"""One training step on a small scene: `python -m reconstruction_pipeline_tests.kernels.small_step THREADS FILE`.

Run in processes of their own by tests that compare instruction sets and numbers of threads; writes an .npz of the
picture, the depths, the loss, the gradients and the parameters after Adam, and prints the vector width LLVM uses.
"""

from __future__ import annotations

import sys

import numpy as np

from reconstruction_pipeline.kernels.adam import adam_step
from reconstruction_pipeline.kernels.layout import ROWS
from reconstruction_pipeline.kernels.loss import l1_ssim
from reconstruction_pipeline.kernels.rasterizer import Rasterizer
from reconstruction_pipeline_tests.kernels.gaussian_reference import planes_of, random_scene, turned_view

COUNT = 300


def step(threads: int) -> dict[str, np.ndarray]:
    """The numbers of one step."""
    planes, view, rasterizer = planes_of(random_scene(COUNT, seed=5)), turned_view(150, 110), Rasterizer(threads)
    rendered = rasterizer.forward(planes, COUNT, view, depth=True, contribution=True)
    target = np.random.default_rng(6).integers(0, 256, rendered.image.shape, dtype=np.uint8)
    value, gradient = l1_ssim(rendered.image, target, threads=threads)
    grads, m, v = (np.zeros_like(planes) for _ in range(3))
    rasterizer.backward(gradient, grads, grad_expected_depth=rendered.alpha * np.float32(1e-5))
    after = planes.copy()
    adam_step(after, grads, m, v, COUNT, np.full(ROWS, 1e-3), 1)
    return {
        "image": rendered.image,
        "expected_depth": rendered.expected_depth,
        "median_depth": rendered.median_depth,
        "contribution": rendered.contribution,
        "loss": np.array(value),
        "loss_gradient": gradient,
        "grads": grads[:, :COUNT],
        "after": after[:, :COUNT],
    }  # type: ignore[dict-item]


def main() -> None:
    """Do what the module says."""
    from reconstruction_pipeline.kernels.raster_forward import rasterize

    np.savez(sys.argv[2], **step(int(sys.argv[1])))
    assembly = next(iter(rasterize.inspect_asm().values())) if not rasterize.stats.cache_hits else ""
    print(next((name for name in ("zmm", "ymm", "xmm") if name in assembly), "cached"))


if __name__ == "__main__":
    main()
