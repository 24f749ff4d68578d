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

VariantName = Literal["demo", "small", "hurried"]


@dataclass(frozen=True)
class Variant:
    """Size and effort of one sample.

    `focal_px` is the same horizontally and vertically and the principal point is the picture's centre.
    `shutter_s` is the exposure time; a frame is the mean of `subframes` renders spread over it, each at another
    place within the pixel. `texture_scale` and `light_scale` multiply the texel densities of colour and of baked
    light, `light_rays` is the number of hemisphere rays a light texel. `path_scale` shrinks the loop of the path.
    `rests` are (from, to) seconds in which the camera is held still, `jolts` those in which it is jerked about, so
    that the picture blurs.
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
    rests: tuple[tuple[float, float], ...] = ()
    jolts: tuple[tuple[float, float], ...] = ()

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
    # What careless people film: stops on the way, and blurred stretches between.
    "hurried": Variant(
        name="hurried", width=640, height=360, fps=24, frames=240, focal_px=465.0, shutter_s=1 / 48, subframes=16,
        texture_scale=0.6, light_scale=0.5, light_rays=16, path_scale=1.0, crf=17,
        rests=((0.0, 0.6), (2.6, 3.8), (6.6, 7.8)), jolts=((1.3, 1.8), (4.4, 5.4), (8.4, 9.0)),
    ),
}  # fmt: skip


def variant(name: str) -> Variant:
    """The settings called `name`; raises `UsageError` for a name that is none of them."""
    if name not in VARIANTS:
        raise UsageError(f"sample variant '{name}' does not exist: choose one of {', '.join(VARIANTS)}")
    return VARIANTS[name]
