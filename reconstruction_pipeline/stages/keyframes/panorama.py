"""360° pictures (equirectangular) cut into pinhole views, all from the one place where the camera was.

In an equirectangular picture a column is a direction around the vertical and a row an angle above or below the
horizon; its middle looks along +z, its right edge along -z, x right and y down as in every camera here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings

Array = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]

FIELD_DEG = 90.0
# A view has in its middle as many pixels a degree as a panorama this many times as wide.
PANORAMA_WIDTH = np.pi / np.tan(np.radians(FIELD_DEG / 2))
# Width over height, and how far from it a picture is still all around.
ASPECT, ASPECT_OFF = 2.0, 0.02
# Pictures that are cut out of panoramas for each that a flat video would give: most look away from what others see.
MORE_PICTURES = 2.0


def views_of(probe: Mapping[str, Any], settings: KeyframeSettings) -> PanoramaViews | None:
    """How to cut the frames of a video; None for one that is flat.

    Raises `InputRejected` when it is said to be equirectangular and does not have the shape.
    """
    said = probe.get("projection", "flat") if settings.projection == "auto" else settings.projection
    if said == "flat":
        return None
    width, height = int(probe["width"]), int(probe["height"])
    if abs(width / height - ASPECT) > ASPECT_OFF:
        raise InputRejected(
            f"{probe.get('name', 'the video')}: {width}x{height} is no equirectangular picture, which is twice as wide"
            " as high; export it as one, or set the projection to flat."
        )
    return PanoramaViews.of(width, settings.views_around, settings.views_of_poles, settings.max_size)


def for_panoramas(settings: KeyframeSettings, views: PanoramaViews) -> KeyframeSettings:
    """The settings with as many moments as make up for the views of each."""
    moments = round(MORE_PICTURES * settings.count / len(views.rotations))
    return replace(settings, count=max(settings.min_frames, min(settings.count, moments)))


def view_rotations(around: int, poles: bool) -> Array:
    """(V, 3, 3), x_view = R x_panorama: `around` views along the horizon from the middle of the panorama to the right,
    then with `poles` one straight up and one straight down.
    """
    turns = [_about_y(2 * np.pi * k / around) for k in range(around)]
    tilts = [_about_x(angle) for angle in (np.pi / 2, -np.pi / 2)] if poles else []
    return np.array([*turns, *tilts])


def _about_y(angle: float) -> Array:
    """Of a view that looks `angle` to the right of +z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])


def _about_x(angle: float) -> Array:
    """Of a view that looks `angle` above +z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]])


@dataclass(frozen=True)
class PanoramaViews:
    """Square views of `size` pixels and FIELD_DEG, with `rotations` (V, 3, 3) as of `view_rotations`."""

    rotations: Array
    size: int

    @classmethod
    def of(cls, width: int, around: int, poles: bool, max_size: int) -> PanoramaViews:
        """Views of panoramas `width` pixels wide: as fine as these, at most `max_size` pixels a side."""
        return cls(view_rotations(around, poles), max(16, min(max_size, round(width / PANORAMA_WIDTH))))

    @property
    def focal_px(self) -> float:
        """Focal length of every view; the principal point is the middle."""
        return self.size / 2 / float(np.tan(np.radians(FIELD_DEG / 2)))

    @property
    def panorama_width(self) -> int:
        """Width in pixels at which a panorama shows all that the views can hold."""
        return int(np.ceil(PANORAMA_WIDTH * self.size))

    def cut(self, panorama: Picture, nearest: bool = False) -> list[Picture]:
        """The views of a panorama (H, W) or (H, W, 3); `nearest` where values must not mix, as in masks."""
        height, width = panorama.shape[:2]
        # One column of the other edge on either side, so that views go across the seam.
        padded = cv2.copyMakeBorder(panorama, 0, 0, 1, 1, cv2.BORDER_WRAP)
        how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
        views = []
        for rotation in self.rotations:
            longitude, latitude = self._directions(rotation)
            # Pixel centres lie at half integers here, at integers in OpenCV.
            x = (width * (0.5 + longitude / (2 * np.pi)) + 0.5).astype(np.float32)
            y = (height * (0.5 + latitude / np.pi) - 0.5).astype(np.float32)
            view = cv2.remap(padded, x, y, how, borderMode=cv2.BORDER_REPLICATE)
            views.append(np.asarray(view, np.uint8))
        return views

    @cached_property
    def _rays(self) -> Array:
        across = (np.arange(self.size) + 0.5 - self.size / 2) / self.focal_px
        return np.stack([*np.meshgrid(across, across), np.ones((self.size, self.size))], axis=-1)

    def _directions(self, rotation: Array) -> tuple[Array, Array]:
        """Longitude and latitude (down) of the pixels of a view, radians, (size, size) each."""
        rays = self._rays @ rotation
        return np.arctan2(rays[..., 0], rays[..., 2]), np.arctan2(rays[..., 1], np.hypot(rays[..., 0], rays[..., 2]))
