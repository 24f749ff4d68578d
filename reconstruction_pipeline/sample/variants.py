"""What a sample is made of: the frozen version and seed, and one row of settings per variant.

The demo and the accuracy tests rely on these numbers. New difficulties are new rows, never an easier row;
any change that alters a frame raises `VERSION`, which retires every cached copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reconstruction_pipeline.artifacts.errors import UsageError

VERSION = 1
SEED = 20260

VariantName = Literal["demo", "small"]


@dataclass(frozen=True)
class Variant:
    """Size and effort of one sample.

    `focal_px` is the same horizontally and vertically and the principal point is the picture's centre.
    `shutter_s` is the exposure time; a frame is the mean of `subframes` renders spread over it, each at another
    place within the pixel. `texture_scale` and `light_scale` multiply the texel densities of colour and of baked
    light, `light_rays` is the number of hemisphere rays a light texel. `path_scale` shrinks the loop of the path.
    """

    name: VariantName
    width: int
    height: int
    fps: int
    frames: int
    focal_px: float
    shutter_s: float
    subframes: int
    texture_scale: float
    light_scale: float
    light_rays: int
    path_scale: float
    crf: int

    @property
    def seconds(self) -> float:
        """Length of the video."""
        return self.frames / self.fps


VARIANTS: dict[str, Variant] = {
    "demo": Variant(
        name="demo", width=1280, height=720, fps=24, frames=192, focal_px=930.0, shutter_s=1 / 96, subframes=4,
        texture_scale=1.0, light_scale=1.0, light_rays=48, path_scale=1.0, crf=17,
    ),
    "small": Variant(
        name="small", width=384, height=216, fps=24, frames=56, focal_px=279.0, shutter_s=1 / 80, subframes=3,
        texture_scale=0.35, light_scale=0.4, light_rays=16, path_scale=0.5, crf=15,
    ),
}  # fmt: skip


def variant(name: str) -> Variant:
    """The settings called `name`; raises `UsageError` for a name that is none of them."""
    if name not in VARIANTS:
        raise UsageError(f"sample variant '{name}' does not exist: choose one of {', '.join(VARIANTS)}")
    return VARIANTS[name]
