"""Bakes light into light maps: sky through the window, a sun beam, a lamp, and their diffuse bounces.

Direct light is sampled with shadow rays. Indirect light is a gathering radiosity solution (Cohen and Greenberg's
equation, solved by iteration): the hits of one set of hemisphere rays are kept, so each further bounce is a look-up.
Rays are cast by Embree through Open3D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction_pipeline.sample.render.triangles import Triangles
from reconstruction_pipeline.sample.scene.lights import Lights
from reconstruction_pipeline.sample.scene.patch import ROOM_TO_WORLD, Patch

Array = NDArray[Any]

_TEXELS_PER_M = 36.0
_LIFT_M = 0.004  # rays start this far off their surface
_BOUNCES = 4
_TRANSLUCENCY = 0.7
_CHUNK = 60_000


@dataclass(frozen=True)
class _Sites:
    """Points that receive light: world positions and normals (n, 3), and where each map starts."""

    position: Array
    normal: Array
    two_sided: NDArray[np.bool_]
    shapes: list[tuple[int, int]]
    starts: NDArray[np.int64]


def bake(
    patches: list[Patch], triangles: Triangles, albedo: list[Array], lights: Lights, scale: float, rays: int, seed: int
) -> list[Array]:
    """Irradiance / pi of every patch, as (rows, columns, 3) maps over its texture.

    `albedo` holds a small linear texture per patch; radiance of a surface is its albedo times the value returned.
    """
    import open3d as o3d

    shadow = np.array([p.casts_shadow for p in patches])[triangles.patch]
    faces = triangles.faces[shadow]
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(_tensor(triangles.vertices.astype(np.float32)), _tensor(faces.astype(np.uint32)))
    sites = _place_sites(patches, scale)
    rng = np.random.default_rng([seed, 7])
    count = len(sites.position)
    direct = np.zeros((count, 3), np.float32)
    hits = np.full((count, rays), -1, np.int32)
    for start in range(0, count, _CHUNK):
        part = slice(start, min(count, start + _CHUNK))
        p, n, both = sites.position[part], sites.normal[part], sites.two_sided[part]
        direct[part] = _direct(scene, p, n, both, lights, rng)
        hits[part] = _gather_hits(scene, p, n, both, rays, triangles, shadow, sites, rng)
    colors = np.concatenate([_resized(a, s).reshape(-1, 3) for a, s in zip(albedo, sites.shapes, strict=True)])
    shining = np.concatenate(
        [np.full(h * w, p.emission, np.float32) for p, (h, w) in zip(patches, sites.shapes, strict=True)]
    )
    total = _bounce(direct, hits, colors, shining)
    maps = []
    for index, (height, width) in enumerate(sites.shapes):
        begin = sites.starts[index]
        light = total[begin : begin + height * width].reshape(height, width, 3)
        maps.append(cv2.GaussianBlur(light, (0, 0), 0.7, borderType=cv2.BORDER_REPLICATE))
    return maps


def _bounce(direct: Array, hits: NDArray[np.int32], colors: Array, shining: Array) -> Array:
    """Direct plus indirect irradiance / pi, after `_BOUNCES` iterations of gathering."""
    indirect = np.zeros_like(direct)
    for _ in range(_BOUNCES):
        leaving = colors * np.where(shining[:, None] > 0, shining[:, None], direct + indirect)
        leaving = np.concatenate([leaving, np.zeros((1, 3), np.float32)])  # what a ray that hits nothing brings
        gathered = np.zeros_like(indirect)
        for ray in range(hits.shape[1]):
            gathered += leaving[hits[:, ray]]
        indirect = gathered / np.float32(hits.shape[1])
    return direct + indirect


def _place_sites(patches: list[Patch], scale: float) -> _Sites:
    positions, normals, both_sides, shapes, starts, cursor = [], [], [], [], [], 0
    for patch in patches:
        height_m, width_m = patch.size_m
        density = _TEXELS_PER_M * scale
        height, width = (int(np.clip(np.ceil(s * density), 2, 256)) for s in (height_m, width_m))
        grid = (patch.grid @ ROOM_TO_WORLD.T).astype(np.float32)
        right, down = np.gradient(grid, axis=1), np.gradient(grid, axis=0)
        normal = np.cross(right, -down)
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
        rows = (np.arange(height, dtype=np.float32) + 0.5) / height * (grid.shape[0] - 1)
        columns = (np.arange(width, dtype=np.float32) + 0.5) / width * (grid.shape[1] - 1)
        x, y = np.meshgrid(columns, rows)
        position = cv2.remap(grid, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        direction: Array = cv2.remap(normal.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        direction /= np.maximum(np.linalg.norm(direction, axis=-1, keepdims=True), 1e-6)
        positions.append(position.reshape(-1, 3))
        normals.append(direction.reshape(-1, 3))
        both_sides.append(np.full(height * width, patch.two_sided))
        shapes.append((height, width))
        starts.append(cursor)
        cursor += height * width
    return _Sites(
        np.concatenate(positions),
        np.concatenate(normals),
        np.concatenate(both_sides),
        shapes,
        np.asarray(starts, np.int64),
    )


def _tensor(array: Array) -> Any:
    import open3d as o3d

    return o3d.core.Tensor(np.ascontiguousarray(array))  # type: ignore[call-overload]


def _occluded(scene: Any, origin: Array, direction: Array, reach: Array) -> NDArray[np.bool_]:
    """Whether anything stands between `origin` and the point `reach` away along the unit `direction`."""
    # One far limit a call is all Embree's wrapper takes: the direction is scaled instead, so that 1 is the light.
    rays = np.concatenate([origin, direction * reach[:, None]], -1).astype(np.float32)
    return scene.test_occlusions(_tensor(rays), tfar=0.999).numpy()


def _direct(
    scene: Any, position: Array, normal: Array, both: NDArray[np.bool_], lights: Lights, rng: np.random.Generator
) -> Array:
    """Irradiance / pi from the window, the sun and the lamp; a leaf (`both`) also glows from light behind it."""
    total = np.zeros_like(position)
    for samples, weight in lights.samples(position.astype(np.float32), rng):
        behind = both & (np.einsum("ij,ij->i", samples - position, normal) < 0)
        lifted = position + np.where(behind, np.float32(-_LIFT_M), np.float32(_LIFT_M))[:, None] * normal
        offset = samples - lifted
        distance = np.linalg.norm(offset, axis=-1)
        toward = offset / np.maximum(distance, 1e-6)[:, None]
        cosine = np.einsum("ij,ij->i", toward, normal) * np.where(behind, np.float32(-_TRANSLUCENCY), np.float32(1))
        strength = weight(toward, distance) * np.maximum(cosine, 0)[:, None]
        lit = strength.max(-1) > 1e-5
        if not lit.any():
            continue
        blocked = _occluded(scene, lifted[lit], toward[lit], distance[lit])
        total[lit] += strength[lit] * ~blocked[:, None]
    return total


def _gather_hits(
    scene: Any,
    position: Array,
    normal: Array,
    both: NDArray[np.bool_],
    rays: int,
    triangles: Triangles,
    shadow: NDArray[np.bool_],
    sites: _Sites,
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Index of the site that each of `rays` cosine-distributed rays of each point hits; -1 for none or a back face."""
    helper = np.where(np.abs(normal[:, :1]) < 0.8, np.array([1, 0, 0], np.float32), np.array([0, 1, 0], np.float32))
    tangent = np.cross(normal, helper)
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True)
    binormal = np.cross(normal, tangent)
    faces, owner = triangles.faces[shadow], triangles.patch[shadow]
    heights, widths = np.asarray(sites.shapes).T
    turn = rng.random((2, len(position)), dtype=np.float32)
    result = np.empty((len(position), rays), np.int32)
    for ray in range(rays):  # a rank-1 lattice, shifted at random at each point
        radius = np.sqrt((ray + turn[0]) / rays)
        angle = 2 * np.pi * ((ray * 0.6180339887 + turn[1]) % 1)
        a, b, c = radius * np.cos(angle), radius * np.sin(angle), np.sqrt(np.maximum(0, 1 - radius**2))
        if ray % 2:  # every other ray of a leaf looks at what is behind it
            c = np.where(both, -c, c)
        direction = a[:, None] * tangent + b[:, None] * binormal + c[:, None] * normal
        lifted = position + (_LIFT_M * np.sign(c))[:, None] * normal
        cast = scene.cast_rays(_tensor(np.concatenate([lifted, direction], -1).astype(np.float32)))
        face = cast["primitive_ids"].numpy()
        hit = face != np.uint32(0xFFFFFFFF)
        face = np.where(hit, face, 0).astype(np.int64)
        s, t = cast["primitive_uvs"].numpy().T[..., None]
        corners = triangles.uv[faces[face]]
        uv = (1 - s - t) * corners[:, 0] + s * corners[:, 1] + t * corners[:, 2]
        patch = owner[face]
        column = np.clip((uv[:, 0] * widths[patch]).astype(np.int64), 0, widths[patch] - 1)
        row = np.clip((uv[:, 1] * heights[patch]).astype(np.int64), 0, heights[patch] - 1)
        site = sites.starts[patch] + row * widths[patch] + column
        result[:, ray] = np.where(hit, site, -1)
    return result


def _resized(image: Array, shape: tuple[int, int]) -> Array:
    return cv2.resize(image, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
