"""Levels of detail: the same scene with ever fewer splats, and the cells of space that a viewer loads it by."""

from reconstruction_pipeline.stages.compression.levels.octree import Cell, cells_of, leaves, octree
from reconstruction_pipeline.stages.compression.levels.simplify import Level, level_counts, levels_of

__all__ = ["Cell", "Level", "cells_of", "leaves", "level_counts", "levels_of", "octree"]
