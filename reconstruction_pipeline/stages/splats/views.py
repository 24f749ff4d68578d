"""Training images with their cameras, and the split into training and held-out views."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import InputRejected, StageFailed
from reconstruction_pipeline.kernels.camera import PinholeView

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class TrainingView:
    """One posed picture: `camera` is world-to-camera at the size it states.

    `load` gives (H, W, 3) RGB or (H, W, 4) RGBA, 8 bits; alpha (straight) says what belongs to the object.
    `load_mask`, if any, gives (H, W) uint8, 0 where the picture is to be ignored (people, the camera's own rig).
    `load_depth`, if any, gives (H', W') float32 z along the camera's axis in the world's unit, 0 where unknown.
    """

    name: str
    camera: PinholeView
    load: Callable[[], Image]
    load_mask: Callable[[], Image] | None = None
    load_depth: Callable[[], npt.NDArray[np.float32]] | None = None


@dataclass(frozen=True)
class LoadedView:
    """A view in memory at training size: `image` (H, W, 3) uint8 RGB and the `camera` of exactly that size.

    `alpha` (H, W) uint8: the opacity of a cut-out object (`image` is premultiplied by it, as if over black).
    `mask` (H, W) uint8: pixels that are not 255 are ignored in training and scores.
    `depth` (H', W') float32: z in the unit of the camera's frame, 0 where unknown, at the size it was measured.
    """

    name: str
    camera: PinholeView
    image: Image
    alpha: Image | None = None
    mask: Image | None = None
    depth: npt.NDArray[np.float32] | None = None


def training_size(width: int, height: int, max_size: int | None) -> tuple[int, int]:
    """(width, height) with the longest side at most `max_size`, never enlarged."""
    longest = max(width, height)
    if max_size is None or longest <= max_size:
        return width, height
    return max(1, round(width * max_size / longest)), max(1, round(height * max_size / longest))


def area_resize(image: Image, width: int, height: int) -> Image:
    """Shrink by area averaging, which neither aliases nor shifts (pixel centres at half integers)."""
    import cv2

    if image.shape[:2] == (height, width):
        return image
    return np.ascontiguousarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))


def load_view(view: TrainingView, max_size: int | None = None) -> LoadedView:
    """Decode one view at training size."""
    image = view.load()
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        raise InputRejected(f"{view.name}: expected an 8-bit RGB or RGBA image, got {image.dtype} {image.shape}.")
    width, height = training_size(view.camera.width, view.camera.height, max_size)
    aspect = image.shape[1] / image.shape[0] / (view.camera.width / view.camera.height)
    if not 0.98 < aspect < 1.02:
        raise InputRejected(
            f"{view.name}: the picture is {image.shape[1]}x{image.shape[0]} but its camera says "
            f"{view.camera.width}x{view.camera.height}; use the pictures the poses were made from."
        )
    alpha = None
    if image.shape[2] == 4:
        premultiplied = np.round(image[:, :, :3] * (image[:, :, 3:] / np.float32(255))).astype(np.uint8)
        alpha, image = area_resize(image[:, :, 3], width, height), premultiplied
    mask = None if view.load_mask is None else area_resize(view.load_mask(), width, height)
    depth = None if view.load_depth is None else view.load_depth()
    return LoadedView(
        view.name, view.camera.scaled(width, height), area_resize(image, width, height), alpha, mask, depth
    )


def held_out_names(names: Sequence[str], holdout: int) -> frozenset[str]:
    """Names 0, K, 2K, ... in name order; none for K = 0."""
    return frozenset(sorted(names)[::holdout]) if holdout > 0 else frozenset()


def split(views: Sequence[TrainingView], held_out: Collection[str]) -> tuple[list[TrainingView], list[TrainingView]]:
    """(training, held out) in name order; StageFailed if names repeat or nothing is left to train on."""
    ordered = sorted(views, key=lambda view: view.name)
    if len({view.name for view in ordered}) != len(ordered):
        raise StageFailed("Two training views have the same name; give every view its own.")
    training = [view for view in ordered if view.name not in held_out]
    if not training:
        raise StageFailed(f"Holding out {len(ordered)} of {len(ordered)} views leaves none to train on.")
    return training, [view for view in ordered if view.name in held_out]
