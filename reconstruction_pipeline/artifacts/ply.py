"""The 3DGS `.ply`: the standard on-disk form of Gaussians.

Binary little-endian; `f_rest` is channel-major (all red coefficients, then green, then blue),
opacity a logit, scales natural logs, rotations wxyz. Numbers are in the world frame of the poses.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyElement, PlyParseError

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply_header import read_header

SH_COEFFICIENTS = {0: 1, 1: 4, 2: 9, 3: 16}


def write_ply(path: Path, gaussians: Gaussians, sh_degree: int = 3) -> None:
    """Write Gaussians with spherical harmonics up to `sh_degree` (0..3)."""
    rest = SH_COEFFICIENTS[sh_degree] - 1
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    names += [f"f_rest_{i}" for i in range(3 * rest)] + ["opacity"]
    names += [f"scale_{i}" for i in range(3)] + [f"rot_{i}" for i in range(4)]
    n = gaussians.count
    columns = np.concatenate(
        [
            gaussians.means,
            np.zeros((n, 3), np.float32),
            gaussians.sh[:, 0],
            gaussians.sh[:, 1 : 1 + rest].transpose(0, 2, 1).reshape(n, 3 * rest),
            gaussians.opacity_logits[:, None],
            gaussians.log_scales,
            gaussians.quats,
        ],
        axis=1,
    ).astype("<f4")
    # One contiguous block seen as records: plyfile then writes it in a single call.
    vertices = np.ascontiguousarray(columns).view([(name, "<f4") for name in names]).reshape(n)
    PlyData([PlyElement.describe(vertices, "vertex")], byte_order="<").write(str(path))


def read_ply(path: Path) -> Gaussians:
    """Read Gaussians of any SH degree up to 3; raise `InvalidArtifact` for any other file."""
    read_header(path)  # plyfile allocates what a header claims
    try:
        vertex = PlyData.read(str(path))["vertex"]
        fields = set(vertex.data.dtype.names)
    except (OSError, KeyError, ValueError, PlyParseError) as error:
        raise InvalidArtifact(f"{path}: not a readable PLY ({error}); make it again.") from error
    rest_names = [f"f_rest_{i}" for i in range(sum(name.startswith("f_rest_") for name in fields))]
    needed = {"x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2"}
    needed |= {"rot_0", "rot_1", "rot_2", "rot_3", *rest_names}
    rest = len(rest_names) // 3
    if missing := needed - fields:
        raise InvalidArtifact(f"{path}: not a Gaussian splat PLY, '{sorted(missing)[0]}' is missing.")
    if rest + 1 not in SH_COEFFICIENTS.values() or len(rest_names) % 3:
        raise InvalidArtifact(f"{path}: {len(rest_names)} f_rest fields are no whole SH degree up to 3.")

    def stack(*names: str) -> np.ndarray:
        return np.stack([np.asarray(vertex[name], np.float32) for name in names], axis=-1)

    n = len(vertex.data)
    sh = np.zeros((n, 16, 3), np.float32)
    sh[:, 0] = stack("f_dc_0", "f_dc_1", "f_dc_2")
    if rest:
        sh[:, 1 : 1 + rest] = stack(*rest_names).reshape(n, 3, rest).transpose(0, 2, 1)
    quats = stack("rot_0", "rot_1", "rot_2", "rot_3")
    quats /= np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), np.float32(1e-12))
    return Gaussians(stack("x", "y", "z"), stack("scale_0", "scale_1", "scale_2"), quats, stack("opacity")[:, 0], sh)


def sh_degree_of(gaussians: Gaussians) -> int:
    """The smallest degree that holds all coefficients that are not zero."""
    used = int(np.flatnonzero(np.any(gaussians.sh != 0, axis=(0, 2))).max(initial=0)) + 1
    return math.ceil(math.sqrt(used)) - 1
