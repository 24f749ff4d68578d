"""The page that shows a scene: one offline HTML file with the splats, the viewer and the camera path in it."""

from reconstruction_pipeline.viewer.page import with_grade, write_viewer

__all__ = ["with_grade", "write_viewer"]
