"""What the renders of one resolution level are compared with, on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.splats.devices.base import Array, Device
from reconstruction_pipeline.stages.splats.views import LoadedView, area_resize


@dataclass(frozen=True)
class Target:
    """One training view at one size; the arrays are the device's.

    `image` (H, W, 3) uint8; `weight` (H, W) float32 weighs the loss or None (all alike); `alpha` (H, W)
    uint8 where the picture shows an object cut out (`image` is then premultiplied), else None; `depth`
    (H, W) float32 in the normalised frame, 0 where unknown, or None.
    """

    camera: PinholeView
    image: Array
    weight: Array | None = None
    alpha: Array | None = None
    depth: Array | None = None


def targets_at(views: Sequence[LoadedView], factor: int, device: Device) -> list[Target]:
    """All views shrunk by `factor`, pictures still in eight bits, on the device."""
    targets = []
    for view in views:
        width, height = max(1, round(view.camera.width / factor)), max(1, round(view.camera.height / factor))
        small = [None if plane is None else area_resize(plane, width, height) for plane in (view.mask, view.alpha)]
        mask, alpha = small
        targets.append(
            Target(
                view.camera.scaled(width, height),
                device.put(area_resize(view.image, width, height)),
                None if mask is None else device.put(_weights(mask)),
                None if alpha is None else device.put(alpha),
                None if view.depth is None else device.put(_nearest(view.depth, width, height)),
            )
        )
    return targets


def _weights(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Only pixels wholly in the mask count; a view masked whole keeps a little, so that its loss is defined."""
    weight = (mask == 255).astype(np.float32)
    return weight if weight.any() else np.full_like(weight, 1e-6)


def _nearest(depth: npt.NDArray[np.float32], width: int, height: int) -> npt.NDArray[np.float32]:
    """Depth is picked, never averaged: the mean of a near and a far surface is a place where nothing is."""
    import cv2

    if depth.shape == (height, width):
        return depth
    return np.ascontiguousarray(cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST))
