"""The capture simulator: a video of a computed room, with everything about it known.

`make_sample` gives the video with its intrinsics, poses, depth and mesh. The room is a textured mesh, rasterised
with baked light; see `scene` for what is in it, `render` for how it is lit and drawn, `path` and `sensor` for how it
is filmed.
"""

from __future__ import annotations

from reconstruction_pipeline.sample.capture import make_sample
from reconstruction_pipeline.sample.truth import Frames, Intrinsics, SampleCapture
from reconstruction_pipeline.sample.variants import SEED, VARIANTS, VERSION, Variant, VariantName

__all__ = [
    "SEED",
    "VARIANTS",
    "VERSION",
    "Frames",
    "Intrinsics",
    "SampleCapture",
    "Variant",
    "VariantName",
    "make_sample",
]
