"""Depth of every registered image from its neighbours, in the poses' scale."""

from reconstruction_pipeline.stages.depth.estimate import estimate_depth
from reconstruction_pipeline.stages.depth.settings import DepthSettings

__all__ = ["DepthSettings", "estimate_depth"]
