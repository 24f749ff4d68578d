"""A scene that another program made in a world of its own, brought into ours by the cameras that both know.

The rotation is the mean of what each camera says of it; scale and translation follow from the centres. So a path on a
straight line, which leaves a turn about itself open, is no problem.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.harmonics import rotate_harmonics

if TYPE_CHECKING:
    from reconstruction_pipeline.external.stage import ExternalStage

MIN_CAMERAS = 4

Array = npt.NDArray[np.float64]
Poses = Mapping[str, tuple[Array, Array]]
"""Camera-to-world rotation and centre by name."""


def into_world(
    gaussians: Gaussians, file: Path, model: ColmapModel, external: ExternalStage, log: Path
) -> tuple[Gaussians, dict[str, Any]]:
    """The scene in the world of `model`, and how well the cameras agree: RMS in units of the path's radius, degrees.

    `file` is that of `descriptor.Frame`. Raises `StageFailed` where it is missing, or knows fewer than four cameras.
    """
    from reconstruction_pipeline.external.failures import rejected

    try:
        rows = json.loads(file.read_text())
        theirs = {Path(row["image_name"]).stem: (np.array(row["R"], float), np.array(row["T"], float)) for row in rows}
        if any(r.shape != (3, 3) or t.shape != (3,) for r, t in theirs.values()):
            raise ValueError("R must be 3x3 and T of three numbers")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise rejected(external, log, f"left no usable cameras in '{file.name}' ({error})") from error
    ours = {Path(image.name).stem: (image.rotation.T, image.center) for image in model.images}
    common = sorted(set(ours) & set(theirs))
    if len(common) < MIN_CAMERAS:
        raise rejected(
            external, log, f"placed {len(common)} of our {len(ours)} cameras, too few to bring its scene into our world"
        )
    their_poses = {name: (r, -r @ t) for name, (r, t) in theirs.items()}
    scale, rotation, translation = fit(
        *_stacked(their_poses, common),
        *_stacked(ours, common),
    )
    residual = scale * _stacked(their_poses, common)[1] @ rotation.T + translation - _stacked(ours, common)[1]
    radius = float(np.linalg.norm(_stacked(ours, common)[1].std(axis=0))) or 1.0
    numbers = {
        "external_cameras": len(common),
        "external_alignment_rms": round(float(np.sqrt((residual**2).sum(axis=1).mean())) / radius, 5),
        "external_alignment_deg": round(_degrees(rotation, their_poses, ours, common), 3),
    }
    return moved(gaussians, scale, rotation, translation), numbers


def fit(
    their_rotations: Array, their_centers: Array, our_rotations: Array, our_centers: Array
) -> tuple[float, Array, Array]:
    """(scale, rotation, translation) with ours = scale * rotation @ theirs + translation.

    Rotations (N, 3, 3) are camera to world, centres (N, 3).
    """
    u, _, vt = np.linalg.svd(np.einsum("nij,nkj->ik", our_rotations, their_rotations))
    rotation = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    a, b = their_centers - their_centers.mean(axis=0), our_centers - our_centers.mean(axis=0)
    scale = float((b * (a @ rotation.T)).sum() / max(float((a**2).sum()), 1e-30))
    return scale, rotation, our_centers.mean(axis=0) - scale * rotation @ their_centers.mean(axis=0)


def moved(gaussians: Gaussians, scale: float, rotation: Array, translation: Array) -> Gaussians:
    """The same scene in another frame: centres, sizes, orientations and view-dependent colour."""
    from scipy.spatial.transform import Rotation

    turned = Rotation.from_matrix(rotation) * Rotation.from_quat(gaussians.quats, scalar_first=True)
    return Gaussians(
        (scale * gaussians.means.astype(np.float64) @ rotation.T + translation).astype(np.float32),
        (gaussians.log_scales + np.log(max(scale, 1e-30))).astype(np.float32),
        turned.as_quat(scalar_first=True).astype(np.float32),
        gaussians.opacity_logits,
        rotate_harmonics(gaussians.sh, rotation),
    )


def _stacked(poses: Poses, names: list[str]) -> tuple[Array, Array]:
    return np.array([poses[name][0] for name in names]), np.array([poses[name][1] for name in names])


def _degrees(rotation: Array, theirs: Poses, ours: Poses, names: list[str]) -> float:
    """Median angle between our view directions and theirs, brought here."""
    cosines = [ours[name][0][:, 2] @ rotation @ theirs[name][0][:, 2] for name in names]
    return float(np.degrees(np.median(np.arccos(np.clip(cosines, -1.0, 1.0)))))
