"""From a video to a 3D Gaussian splat: pure stages below, Dagster assets above."""

__version__ = "0.1.0"
