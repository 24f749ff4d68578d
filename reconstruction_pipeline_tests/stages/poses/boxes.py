"""A textured box filmed from all sides, ray-cast: with equal opposite sides it fools structure from motion."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from reconstruction_pipeline_tests.stages.captures import texture

Rgb = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]

HALF = np.array([1.0, 0.8, 1.0])
# Outward normals of the four upright sides, in the order of a walk around the box (y down).
SIDES = np.array([[0, 0, -1.0], [1.0, 0, 0], [0, 0, 1.0], [-1.0, 0, 0]])


def looking_at_origin(center: Array) -> Array:
    """World-to-camera rotation (3, 3) of a level camera."""
    forward = -center / np.linalg.norm(center)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


class BoxOrbit:
    """Cameras on a circle around a box; `sides` are seeds of the four sides' textures.

    With `ground`, the floor around shows a texture that is the same nowhere; without, floor and sky are plain.
    """

    def __init__(
        self, sides: tuple[int, int, int, int], ground: bool = False, width: int = 480, height: int = 360
    ) -> None:
        self.width, self.height, self.focal = width, height, 420.0
        self._sides = [texture(512, seed) for seed in sides]
        self._ground = texture(1024, 77) if ground else None

    def camera(self, angle: float, radius: float = 4.2) -> tuple[Array, Array]:
        """World-to-camera rotation (3, 3) and centre (3,); angle 0 faces the first side, with a walker's sway."""
        center = np.array([radius * np.sin(angle), -0.7 + 0.2 * np.sin(5 * angle), -radius * np.cos(angle)])
        center *= 1 + 0.06 * np.sin(3 * angle + 1)
        return looking_at_origin(center), center

    def on_circle(self, angle: float, radius: float = 4.2, height: float = 1.6) -> tuple[Array, Array]:
        """World-to-camera rotation and centre of a camera that does not move, in the world of a box on a turntable."""
        center = np.array([radius * np.sin(angle), -height, -radius * np.cos(angle)])
        return looking_at_origin(center), center

    def render(self, rotation: Array, center: Array, behind: Rgb | None = None) -> Rgb:
        """(height, width, 3); pixel centres at half integers. `behind`: what is seen beside the box."""
        x, y = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        rays = np.stack([(x - self.width / 2) / self.focal, (y - self.height / 2) / self.focal, np.ones_like(x)], -1)
        rays = rays @ rotation
        image = np.full((self.height, self.width, 3), 128, np.uint8) if behind is None else behind.copy()
        nearest = np.full(x.shape, np.inf)
        if self._ground is not None:
            self._draw(image, nearest, rays, center, np.array([0, 1.0, 0]), HALF[1], None, self._ground, 60.0)
        for normal, picture in zip(SIDES, self._sides, strict=True):
            self._draw(image, nearest, rays, center, normal, 1.0, HALF, picture, 255.0)
        return image

    @staticmethod
    def _draw(
        image: Rgb,
        nearest: Array,
        rays: Array,
        center: Array,
        normal: Array,
        offset: float,
        bounds: Array | None,
        picture: Rgb,
        texels: float,
    ) -> None:
        with np.errstate(divide="ignore", invalid="ignore"):
            distance: Any = (offset - center @ normal) / (rays @ normal)
        hit = (distance > 0.05) & (distance < np.minimum(nearest, 40))
        points = center + np.where(hit, distance, 0.0)[..., None] * rays
        if bounds is not None:
            hit &= (np.abs(points) <= bounds + 1e-6).all(axis=-1)
        if abs(normal[1]) > 0.5:
            u, v = points[..., 0], points[..., 2]
        else:
            u, v = points @ np.cross([0.0, 1.0, 0.0], normal), points[..., 1]
        size = picture.shape[0] - 1
        sample = cv2.remap(
            picture,
            (((u + 1) * texels) % size).astype(np.float32),
            (((v + 1) * texels) % size).astype(np.float32),
            cv2.INTER_AREA,
            borderMode=cv2.BORDER_WRAP,
        )
        image[hit] = sample[hit]
        nearest[hit] = distance[hit]
