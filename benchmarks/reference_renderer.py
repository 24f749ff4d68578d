"""A second opinion: renders a 3DGS `.ply` straight from the published equations, in float64 numpy.

    python -m benchmarks.reference_renderer scene.ply COLMAP_DIR [--holdout 8] [--max-size PX]

Shares no code with the trainer: the file is read with plyfile, the cameras with pycolmap, the pictures with Pillow;
pixels are blended tile by tile with array operations. Equations: Kerbl et al., "3D Gaussian Splatting for Real-Time
Radiance Field Rendering" (2023) and Zwicker et al., "EWA Splatting" (2002), with the constants of the field:

| | 3DGS (its rasteriser) | gsplat 1.5 | our kernels | here |
|---|---|---|---|---|
| low pass on the 2D covariance, px^2 | 0.3 | 0.3 | 0.3 | 0.3 |
| alpha not drawn below | 1/255 | 1/255 | 1/255 | 1/255 |
| alpha at most | 0.99 | 0.999 | 0.99 | 0.99 |
| a pixel ends before its transmittance falls below | 1e-4 | 1e-4 | 1e-4, a 4x4 block as a whole | 1e-4 |
| extent | 3 sigma of the longer axis, whole tiles | by opacity | by opacity | by opacity: nothing is cut |
| near plane | 0.2 | 0.01 | 0.02 of the median depth | 0.01 |
| Jacobian taken no further outside the picture than | 15 % of it | 15 % | 15 % | 15 % |

The extent of 3 sigma cuts alphas of up to 0.011 off opaque Gaussians; the equations know no such cut. SH colours get
0.5 added and are clamped at 0. The ground is black, pixel centres are at half integers.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LOW_PASS = 0.3
ALPHA_MIN, ALPHA_MAX = 1.0 / 255.0, 0.99
TRANSMITTANCE_MIN = 1e-4
GUARD_BAND = 0.15
NEAR = 0.01
TILE = 16
CHUNK = 256
"""Gaussians blended into a tile at once: bounds the memory, and lets opaque tiles end early."""


@dataclass(frozen=True)
class Splats:
    """Means (N, 3), covariances (N, 3, 3), opacities (N,) in 0..1, SH coefficients (N, K, 3), K = 1, 4, 9 or 16."""

    means: Array
    covariances: Array
    opacities: Array
    sh: Array


@dataclass(frozen=True)
class Camera:
    """World-to-camera pose (x right, y down, z forward) and pinhole intrinsics in pixels."""

    name: str
    rotation: Array
    translation: Array
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def resized(self, width: int, height: int) -> Camera:
        """The same camera with its picture resampled."""
        sx, sy = width / self.width, height / self.height
        fx, fy, cx, cy = self.fx * sx, self.fy * sy, self.cx * sx, self.cy * sy
        return Camera(self.name, self.rotation, self.translation, fx, fy, cx, cy, width, height)


class Projected(NamedTuple):
    """What one camera sees, nearest first: centres (M, 2) px, 2D covariances and inverses (M, 3: xx, xy, yy), ..."""

    centres: Array
    covariances: Array
    conics: Array
    opacities: Array
    colours: Array


def read_splats(path: Path) -> Splats:
    """The Gaussians of a 3DGS file: log scales, logit opacities, quaternions wxyz of any length, channel-major SH."""
    from plyfile import PlyData

    table = PlyData.read(str(path))["vertex"].data

    def columns(*names: str) -> Array:
        return np.stack([np.asarray(table[name], np.float64) for name in names], axis=-1)

    rest = sum(str(name).startswith("f_rest_") for name in table.dtype.names)
    sh = columns("f_dc_0", "f_dc_1", "f_dc_2")[:, None, :]
    if rest:
        higher = columns(*(f"f_rest_{i}" for i in range(rest))).reshape(len(table), 3, rest // 3)
        sh = np.concatenate([sh, higher.transpose(0, 2, 1)], axis=1)
    axes = (
        rotations(columns("rot_0", "rot_1", "rot_2", "rot_3"))
        * np.exp(columns("scale_0", "scale_1", "scale_2"))[:, None, :]
    )
    opacities = 1.0 / (1.0 + np.exp(-np.asarray(table["opacity"], np.float64)))
    return Splats(columns("x", "y", "z"), axes @ axes.transpose(0, 2, 1), opacities, sh)


def rotations(quats: Array) -> Array:
    """Rotation matrices (N, 3, 3) of quaternions (N, 4) wxyz: q v q* applied to the three axes."""
    q = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    scalar, vector = q[:, :1], q[:, 1:]
    turned = []
    for axis in np.eye(3):
        once = np.cross(vector, np.broadcast_to(axis, vector.shape))
        turned.append(axis + 2.0 * (scalar * once + np.cross(vector, once)))
    return np.stack(turned, axis=2)


def sh_basis(directions: Array, count: int) -> Array:
    """The first `count` real spherical harmonics at unit directions (N, 3), signs as in 3DGS files; (N, count)."""
    x, y, z = directions.T
    pi = math.pi
    first = math.sqrt(3 / (4 * pi))
    second, second_zz = math.sqrt(15 / pi) / 2, math.sqrt(5 / pi) / 4
    third_outer, third_inner, third_xyz = (
        math.sqrt(35 / (2 * pi)) / 4,
        math.sqrt(21 / (2 * pi)) / 4,
        math.sqrt(105 / pi),
    )
    terms = [
        np.full_like(x, math.sqrt(1 / pi) / 2),
        -first * y, first * z, -first * x,
        second * x * y, -second * y * z, second_zz * (3 * z * z - 1), -second * x * z, second / 2 * (x * x - y * y),
        -third_outer * y * (3 * x * x - y * y),
        third_xyz / 2 * x * y * z,
        -third_inner * y * (5 * z * z - 1),
        math.sqrt(7 / pi) / 4 * z * (5 * z * z - 3),
        -third_inner * x * (5 * z * z - 1),
        third_xyz / 4 * z * (x * x - y * y),
        -third_outer * x * (x * x - 3 * y * y),
    ]  # fmt: skip
    return np.stack(terms[:count], axis=1)


def project(splats: Splats, camera: Camera, near: float) -> Projected:
    """Everything in front of the near plane and not too faint to draw."""
    local = splats.means @ camera.rotation.T + camera.translation
    drawn = (local[:, 2] > near) & (splats.opacities >= ALPHA_MIN)
    order = np.flatnonzero(drawn)[np.argsort(local[drawn, 2], kind="stable")]
    x, y, z = local[order].T
    band_x, band_y = GUARD_BAND * camera.width, GUARD_BAND * camera.height
    u = np.clip(x / z, (-band_x - camera.cx) / camera.fx, (camera.width + band_x - camera.cx) / camera.fx)
    v = np.clip(y / z, (-band_y - camera.cy) / camera.fy, (camera.height + band_y - camera.cy) / camera.fy)
    jacobian = np.zeros((len(order), 2, 3))
    jacobian[:, 0, 0], jacobian[:, 0, 2] = camera.fx / z, -camera.fx * u / z
    jacobian[:, 1, 1], jacobian[:, 1, 2] = camera.fy / z, -camera.fy * v / z
    to_image = jacobian @ camera.rotation
    covariance = to_image @ splats.covariances[order] @ to_image.transpose(0, 2, 1)
    xx, xy, yy = covariance[:, 0, 0] + LOW_PASS, covariance[:, 0, 1], covariance[:, 1, 1] + LOW_PASS
    determinant = xx * yy - xy * xy
    towards = splats.means[order] + camera.rotation.T @ camera.translation
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    sh = splats.sh[order]
    colours = np.maximum(0.5 + np.einsum("nk,nkc->nc", sh_basis(towards, sh.shape[1]), sh), 0.0)
    return Projected(
        np.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], axis=1),
        np.stack([xx, xy, yy], axis=1),
        np.stack([yy, -xy, xx], axis=1) / determinant[:, None],
        splats.opacities[order],
        colours,
    )


def tile_lists(seen: Projected, camera: Camera) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], int]:
    """(rows of `seen`, where each tile's rows start (tiles + 1,), tiles a row); each tile's rows are nearest first."""
    wide, high = -(-camera.width // TILE), -(-camera.height // TILE)
    reach = np.sqrt(2.0 * np.log(seen.opacities / ALPHA_MIN))[:, None] * np.sqrt(seen.covariances[:, [0, 2]])
    limits = np.array([wide, high])
    first = np.clip(np.floor((seen.centres - reach) / TILE), 0, limits).astype(np.intp)
    last = np.clip(np.floor((seen.centres + reach) / TILE) + 1, 0, limits).astype(np.intp)
    size = np.maximum(last - first, 0)
    pairs = size[:, 0] * size[:, 1]
    rows = np.repeat(np.arange(len(pairs)), pairs)
    nth = np.arange(len(rows)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    tiles = (first[rows, 1] + nth // size[rows, 0]) * wide + first[rows, 0] + nth % size[rows, 0]
    order = np.argsort(tiles, kind="stable")
    return rows[order], np.searchsorted(tiles[order], np.arange(wide * high + 1)), wide


def blend(seen: Projected, rows: npt.NDArray[np.intp], xs: Array, ys: Array) -> Array:
    """Colours (P, 3) of the pixels at xs, ys (P,): rows front to back until no light is left."""
    light = np.ones(len(xs))
    image = np.zeros((len(xs), 3))
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        dx, dy = xs - seen.centres[part, :1], ys - seen.centres[part, 1:]
        xx, xy, yy = (seen.conics[part, k : k + 1] for k in range(3))
        alpha = seen.opacities[part, None] * np.exp(-0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy)
        alpha = np.where(alpha >= ALPHA_MIN, np.minimum(alpha, ALPHA_MAX), 0.0)
        after = light * np.cumprod(1.0 - alpha, axis=0)
        before = np.concatenate([light[None], after[:-1]])
        image += np.where(after >= TRANSMITTANCE_MIN, alpha * before, 0.0).T @ seen.colours[part]
        light = after[-1]
        if light.max() < TRANSMITTANCE_MIN:
            break
    return image


def render(splats: Splats, camera: Camera, near: float = NEAR) -> Array:
    """The picture (H, W, 3), not clamped, over black."""
    seen = project(splats, camera, near)
    rows, starts, wide = tile_lists(seen, camera)
    image = np.zeros((camera.height, camera.width, 3))
    for tile in np.flatnonzero(np.diff(starts)).tolist():
        top, left = tile // wide * TILE, tile % wide * TILE
        down, across = min(TILE, camera.height - top), min(TILE, camera.width - left)
        ys, xs = np.mgrid[:down, :across] + 0.5
        colours = blend(seen, rows[starts[tile] : starts[tile + 1]], left + xs.ravel(), top + ys.ravel())
        image[top : top + down, left : left + across] = colours.reshape(down, across, 3)
    return image


def psnr(image: Array, photo: npt.NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio, dB, of a render (clamped to 0..1) against an 8-bit photo of the same size."""
    difference = np.clip(image, 0.0, 1.0) - photo / 255.0
    return float(10.0 * np.log10(1.0 / np.mean(difference * difference)))


def read_cameras(project_folder: Path) -> list[Camera]:
    """The registered PINHOLE (or SIMPLE_PINHOLE) cameras of `sparse/0`, in name order."""
    import zlib  # noqa: F401  before pycolmap, whose wheel exports a deflate of its own

    import pycolmap

    model = pycolmap.Reconstruction(str(project_folder / "sparse" / "0"))
    cameras = []
    for image in model.images.values():
        lens = model.cameras[image.camera_id]
        if lens.model.name not in ("PINHOLE", "SIMPLE_PINHOLE"):
            raise ValueError(f"{project_folder}: {lens.model.name} is a distorted camera; undistort the project.")
        pose = image.cam_from_world() if callable(image.cam_from_world) else image.cam_from_world
        fx, fy, cx, cy = lens.focal_length_x, lens.focal_length_y, lens.principal_point_x, lens.principal_point_y
        rotation, translation = np.asarray(pose.rotation.matrix()), np.asarray(pose.translation)
        cameras.append(Camera(image.name, rotation, translation, fx, fy, cx, cy, lens.width, lens.height))
    cameras.sort(key=lambda camera: camera.name)
    return cameras


def score(
    scene: Path, project_folder: Path, holdout: int = 8, max_size: int | None = None, near: float = NEAR
) -> dict[str, Any]:
    """Mean `psnr` and a row a view of images 0, K, 2K ... (all for K = 0), shrunk to `max_size` by area averaging."""
    from PIL import Image

    splats = read_splats(scene)
    views = []
    for camera in read_cameras(project_folder)[:: max(holdout, 1)]:
        with Image.open(project_folder / "images" / camera.name) as file:
            photo = file.convert("RGB")
        width, height = camera.width, camera.height
        if max_size is not None and max(width, height) > max_size:
            ratio = max_size / max(width, height)
            width, height = max(1, round(width * ratio)), max(1, round(height * ratio))
        if photo.size != (width, height):
            photo = photo.resize((width, height), Image.Resampling.BOX)
        image = render(splats, camera.resized(width, height), near)
        views.append({"name": camera.name, "psnr": psnr(image, np.asarray(photo))})
    return {"psnr": float(np.mean([view["psnr"] for view in views])), "views": views}


def main() -> None:
    """Print the score of a scene as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reference_renderer", description=__doc__.split("\n")[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("project", type=Path)
    parser.add_argument("--holdout", type=int, default=8)
    parser.add_argument("--max-size", type=int)
    options = parser.parse_args()
    print(json.dumps(score(options.scene, options.project, options.holdout, options.max_size)))


if __name__ == "__main__":
    main()
