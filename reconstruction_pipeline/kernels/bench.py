"""The made scene under the name it had; the measurements are in `benchmarks.kernels`."""

from reconstruction_pipeline.kernels.made_scene import bench_view, made_scene

__all__ = ["bench_view", "made_scene"]
