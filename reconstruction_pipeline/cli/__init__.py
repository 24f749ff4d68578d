"""`reconstruct`: from a video to a scene, and the tools around it."""

from reconstruction_pipeline.cli.main import main

__all__ = ["main"]
