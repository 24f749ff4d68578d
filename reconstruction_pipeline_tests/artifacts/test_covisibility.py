from __future__ import annotations

from pathlib import Path

import numpy as np

from reconstruction_pipeline.artifacts.covisibility import select_neighbours
from reconstruction_pipeline_tests.analytic_scene import make_scene, write_poses


def test_neighbours_come_from_both_sides_at_a_useful_angle(tmp_path: Path) -> None:
    scene = make_scene(9)
    poses = write_poses(tmp_path / "project", scene)
    chosen = select_neighbours(poses.model(), 4)
    assert all(len(set(c)) == 4 and i not in c for i, c in enumerate(chosen))
    middle = scene.views[4].center
    sides = {np.sign(scene.views[j].center[0] - middle[0]) for j in chosen[4]}
    assert sides == {-1, 1}
    assert select_neighbours(poses.model(), 2)[4] == chosen[4][:2]


def test_no_shared_points_no_neighbours(tmp_path: Path) -> None:
    poses = write_poses(tmp_path / "project", make_scene(3), points=3)
    assert select_neighbours(poses.model(), 4) == [[], [], []]
