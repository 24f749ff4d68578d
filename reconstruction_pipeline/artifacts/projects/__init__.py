"""Posed projects of other programs as they are found: COLMAP's folders, and `transforms.json`."""

from reconstruction_pipeline.artifacts.projects.reading import is_project, read_source
from reconstruction_pipeline.artifacts.projects.source import Source

__all__ = ["Source", "is_project", "read_source"]
