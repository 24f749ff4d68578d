"""Poses from elsewhere: COLMAP projects and `transforms.json`, as undistorted PINHOLE models with pictures."""

from reconstruction_pipeline.stages.poses.imports.project import Project, open_project

__all__ = ["Project", "open_project"]
