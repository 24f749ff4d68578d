"""The sample's room filmed along any path, as easy or as hard as a test wants; and how far poses are from the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.sample.path import CameraPath
from reconstruction_pipeline.sample.render import atlas as atlas_module
from reconstruction_pipeline.sample.render.bake import Room, bake_room
from reconstruction_pipeline.sample.render.frame import Renderer
from reconstruction_pipeline.sample.scene import build_scene
from reconstruction_pipeline.sample.scene.room import LIGHTS
from reconstruction_pipeline.sample.sensor import develop
from reconstruction_pipeline.sample.variants import SEED, VARIANTS, Variant

Array = npt.NDArray[np.float64]
Rgb = npt.NDArray[np.uint8]

SIZE: Variant = replace(
    VARIANTS["small"], width=576, height=324, focal_px=420.0, subframes=3, texture_scale=0.5, light_rays=8
)
TARGET = np.array([0.02, -0.77, 1.45])


@dataclass(frozen=True)
class Way:
    """A path through the room: `center(t)` and `target(t)` (3,) in metres for t from 0 to 1, world y-down."""

    center: Callable[[float], Array]
    target: Callable[[float], Array]

    def pose(self, moment: float) -> tuple[Array, Array]:
        """World-to-camera rotation (3, 3) and translation (3,), level."""
        center = self.center(moment)
        forward = self.target(moment) - center
        forward /= np.linalg.norm(forward)
        right = np.cross([0.0, 1.0, 0.0], forward)
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        return rotation, -rotation @ center


@cache
def room() -> Room:
    """The room, lit; made once per process."""
    return bake_room(build_scene(SEED), LIGHTS, SIZE, SEED)


def repainted(paint: Callable[[int, int], npt.NDArray[np.float32]]) -> Room:
    """The room with every surface painted by `paint(height, width)`: linear radiance (height, width, 3)."""
    shapes = [(int(h), int(w)) for h, w in room().atlas.shapes]
    return Room(room().triangles, atlas_module.pack([atlas_module.levels_of(paint(h, w)) for h, w in shapes], shapes))


def faded(contrast: float) -> Room:
    """The room with that share of the contrast within each surface."""
    atlas = room().atlas
    texels = atlas.texels.copy()
    starts = np.unique(np.concatenate([atlas.offsets.ravel(), [len(texels)]]))
    for start, end in pairwise(starts.tolist()):
        values = np.stack([texels[start:end] >> shift & 255 for shift in (0, 8, 16)]).astype(np.float64)
        middle = values.mean(axis=1, keepdims=True)
        red, green, blue = np.rint(middle + contrast * (values - middle)).astype(np.uint32)
        texels[start:end] = red | green << 8 | blue << 16
    return Room(room().triangles, replace(atlas, texels=texels))


def film(
    way: Way, count: int, scene: Room | None = None, blur: float = 0.0, gain: Callable[[float], float] = lambda t: 1.15
) -> list[Rgb]:
    """`count` pictures along `way`; `blur` is the part of the way that passes while the shutter is open, `gain` the
    exposure at t.
    """
    scene = scene or room()
    settings = replace(SIZE, shutter_s=blur, subframes=12 if blur else SIZE.subframes)
    renderer, path = Renderer(scene.triangles, settings), cast("CameraPath", way)
    return [
        develop(renderer.frame(scene.atlas, path, t), gain(t), SEED, i) for i, t in enumerate(np.linspace(0, 1, count))
    ]


def true_poses(way: Way, count: int) -> dict[str, tuple[Array, Array]]:
    """(rotation, centre) by the names that `write_keyframes` gives."""
    found = {}
    for i, t in enumerate(np.linspace(0, 1, count)):
        rotation, translation = way.pose(t)
        found[f"{i:05d}.jpg"] = rotation, -rotation.T @ translation
    return found


@dataclass(frozen=True)
class Errors:
    """After the best similarity: `ate` root mean square distance of the centres over the largest distance between
    any two of them; `rotation_deg` the median angle after the best rotation.
    """

    ate: float
    rotation_deg: float


def errors_of(model: ColmapModel, truth: dict[str, tuple[Array, Array]]) -> Errors:
    """Poses of `model` against the truth of its images (Umeyama, PAMI 1991, on centres)."""
    centers = model.centers
    true = np.array([truth[image.name][1] for image in model.images])
    a, b = centers - centers.mean(axis=0), true - true.mean(axis=0)
    u, s, vt = np.linalg.svd(b.T @ a)
    signs = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation, scale = u @ signs @ vt, float((s * np.diag(signs)).sum() / (a**2).sum())
    ate = np.sqrt((np.linalg.norm(scale * a @ rotation.T - b, axis=1) ** 2).mean())
    extent = np.linalg.norm(true[:, None] - true[None], axis=-1).max()
    # Not the rotation that fits the centres: along a straight way they leave it open.
    between = np.array([truth[image.name][0].T @ image.rotation for image in model.images])
    left, _, right = np.linalg.svd(between.mean(axis=0))
    mean = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    cosines = (np.einsum("ij,nij->n", mean, between) - 1) / 2
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return Errors(float(ate / extent), float(np.median(angles)))


def tile(period_px: int, seed: int = 0) -> Callable[[int, int], npt.NDArray[np.float32]]:
    """A painter of the same tile again and again."""
    rng = np.random.default_rng(seed)
    small = cv2.resize(rng.random((period_px // 4, period_px // 4, 3)).astype(np.float32), (period_px, period_px))

    def paint(height: int, width: int) -> Any:
        return 0.1 + 0.6 * np.tile(small, (height // period_px + 1, width // period_px + 1, 1))[:height, :width]

    return paint
