"""The pictures on the mesh: each face takes its colours from the one picture that shows it best.

The way of Lempitsky and Ivanov, "Seamless mosaicing of image-based texture maps", CVPR 2007, and Waechter, Moehrle
and Goesele, "Let there be color!", ECCV 2014: choose a view for each face, cut charts where the view changes, copy
the pictures' own rectangles into an atlas, and level the colours over the seams.
"""

from reconstruction_pipeline.stages.mesh.texture.atlas import Texture, texture_mesh

__all__ = ["Texture", "texture_mesh"]
