"""The page over all scenes: `<storage>/deliverables/index.html`. Free of Dagster."""

from reconstruction_pipeline.gallery.refresh import refresh_gallery

__all__ = ["refresh_gallery"]
