"""What the masks of the poses ignore gives the mesh neither shape nor colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.artifacts.views import what_counts
from reconstruction_pipeline.stages.mesh import extract_mesh
from reconstruction_pipeline.stages.mesh.rendered_depth import SurfaceView, without_ignored
from reconstruction_pipeline_tests.analytic_scene import AnalyticScene, make_scene, write_poses
from reconstruction_pipeline_tests.stages.mesh.test_extract import SETTINGS, _splats

RED = np.array([255, 0, 0], np.uint8)


def red_share(scene: AnalyticScene, folder: Path, masked: bool) -> float:
    """Of the vertices, after somebody in red stood in the middle of every second picture."""
    poses = write_poses(folder / "poses", scene)
    splats = _splats(folder / "splats", poses, scene.depths, 0.9)
    (folder / "poses" / "masks").mkdir()
    for name, picture in list(zip(scene.names, scene.pictures, strict=True))[::2]:
        somebody = np.zeros(picture.shape[:2], bool)
        somebody[20:110, 50:110] = True
        painted = np.where(somebody[..., None], RED, picture)
        cv2.imwrite(str(folder / "poses" / "images" / name), painted[:, :, ::-1])
        if masked:
            mask = np.where(somebody, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / "poses" / "masks" / f"{name}.png"), mask)
    mesh = extract_mesh(splats, poses, SETTINGS, folder / "mesh", NullProgress())
    visual: Any = mesh.trimesh().visual
    colours = np.asarray(visual.vertex_colors)[:, :3].astype(int)
    return float(np.mean((colours[:, 0] - colours[:, 1:].max(axis=1)) > 100))


def test_somebody_who_is_masked_does_not_colour_the_mesh(tmp_path: Path) -> None:
    scene = make_scene(6)
    assert red_share(scene, tmp_path / "plain", False) > 0.1
    assert red_share(scene, tmp_path / "masked", True) < 0.01


def test_ignored_depth_is_unknown() -> None:
    scene = make_scene(2)
    surfaces = [SurfaceView(d, np.ones_like(d), v) for d, v in zip(scene.depths, scene.views, strict=True)]
    mask = np.full((240, 320), 255, np.uint8)  # of the picture at twice the size
    mask[41:, :] = 0
    seen = what_counts(mask, scene.views[0])
    assert seen is not None and seen[:20].all() and not seen[20:].any(), "half a pixel does not count"
    kept = without_ignored(surfaces, [seen, what_counts(None, scene.views[1])])
    assert (kept[0].depth[:20] == scene.depths[0][:20]).all() and not kept[0].depth[20:].any()
    assert kept[1] is surfaces[1]
