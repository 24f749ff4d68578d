"""Wrong poses that every other figure calls excellent: told from right ones, on scenes with and without doubles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, PosedImage, rotation_of
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.stages.poses import PoseSettings, estimate_poses
from reconstruction_pipeline.stages.poses.consistency import agreements
from reconstruction_pipeline.stages.poses.doubts import focal_gates, fold_gate, stray_gate, trajectory_gate
from reconstruction_pipeline.stages.poses.folds import find_folds
from reconstruction_pipeline.stages.poses.geometry import quaternion_of
from reconstruction_pipeline.stages.poses.lens import normalised
from reconstruction_pipeline.stages.poses.masks import distort
from reconstruction_pipeline.stages.poses.matches import MatchGraph, PairMatches, read_matches
from reconstruction_pipeline.stages.poses.overlap import held_out_pairs, predicted_overlaps
from reconstruction_pipeline.stages.poses.trajectory import find_jumps
from reconstruction_pipeline_tests.stages.poses.boxes import BoxOrbit
from reconstruction_pipeline_tests.stages.poses.test_estimate_poses import write_keyframes

CAMERA = Camera("SIMPLE_RADIAL", 640, 480, (500.0, 320.0, 240.0, -0.05))
VIEWS = 24


def turned_by(degrees: float) -> np.ndarray:
    return rotation_of((np.cos(np.radians(degrees) / 2), 0, np.sin(np.radians(degrees) / 2), 0))


def orbit(views: int = VIEWS) -> ColmapModel:
    """Cameras all around a round pillar of points, each seeing the half that faces it."""
    rng = np.random.default_rng(0)
    around = rng.uniform(0, 2 * np.pi, 1500)
    xyz = np.column_stack([np.sin(around), rng.uniform(-0.7, 0.7, 1500), np.cos(around)])
    images = []
    for k in range(views):
        rotation = turned_by(360 * k / views)
        local = xyz @ rotation.T + [0, 0, 4.0]
        facing = np.flatnonzero((xyz @ rotation.T)[:, 2] < -0.35)
        xy = distort(CAMERA, local[facing, :2] / local[facing, 2:])
        image = PosedImage(
            f"{k:03d}.jpg", 1, quaternion_of(rotation), rotation, np.array([0, 0, 4.0]), xy, facing.astype(np.int64)
        )
        images.append(image)
    count = len(xyz)
    return ColmapModel(
        {1: CAMERA}, tuple(images), xyz, np.zeros((count, 3), np.uint8), np.zeros(count), np.full(count, 5)
    )


def matched(model: ColmapModel) -> MatchGraph:
    """Every pair tried; common points are matches, half a pixel off."""
    rng, tried, verified = np.random.default_rng(1), set(), []
    for i, a in enumerate(model.images):
        for b in model.images[i + 1 :]:
            tried.add((a.name, b.name))
            _, rows_a, rows_b = np.intersect1d(a.point_rows, b.point_rows, return_indices=True)
            if len(rows_a) >= 15:
                noise = rng.normal(0, 0.5, (2, len(rows_a), 2))
                verified.append(
                    PairMatches(a.name, b.name, rows_a, rows_b, a.xy[rows_a] + noise[0], b.xy[rows_b] + noise[1])
                )
    return MatchGraph(frozenset(tried), tuple(verified))


def replaced(model: ColmapModel, turns: dict[int, float]) -> ColmapModel:
    """The model with some cameras put elsewhere on the circle, by degrees."""
    images = list(model.images)
    for k, degrees in turns.items():
        rotation = images[k].rotation @ turned_by(degrees)
        images[k] = replace(images[k], rotation=rotation, quaternion=quaternion_of(rotation))
    return replace(model, images=tuple(images))


def test_directions_and_pixels_are_inverse() -> None:
    straight = np.random.default_rng(2).uniform(-0.6, 0.6, (50, 2))
    for camera in (CAMERA, Camera("OPENCV", 640, 480, (500.0, 510.0, 320.0, 240.0, -0.1, 0.02, 1e-3, -2e-3))):
        assert normalised(camera, distort(camera, straight)) == pytest.approx(straight, abs=1e-7)


def test_a_genuine_orbit_agrees_with_its_matches() -> None:
    model = orbit()
    graph = matched(model)
    shares = [pair.share for pair in agreements(model, graph, 30)]
    assert len(shares) > 50 and min(shares) > 0.98
    evidence = find_folds(model, graph, predicted_overlaps(model))
    assert evidence.overlapping >= VIEWS
    assert not evidence.folded and not evidence.broken and not evidence.missing and not evidence.strays
    assert fold_gate(evidence).passed


def test_half_an_orbit_laid_on_the_other_breaks_matches_and_misses_some() -> None:
    model = orbit()
    graph = matched(model)
    folded = replaced(model, dict.fromkeys(range(VIEWS // 2, VIEWS), 180.0))
    evidence = find_folds(folded, graph, predicted_overlaps(folded))
    assert evidence.folded
    assert evidence.broken, "neighbours across the fold match well, and are now far apart"
    assert evidence.missing, "images laid on top of each other do not match at all"
    gate = fold_gate(evidence)
    assert not gate.passed and gate.severity == "block" and gate.advice
    assert any(name in gate.message for name in evidence.images()[:3])


def test_one_misplaced_image_is_a_stray_and_no_fold() -> None:
    model = orbit()
    stray = replaced(model, {7: 100.0})
    evidence = find_folds(stray, matched(model), predicted_overlaps(stray))
    assert evidence.strays == ("007.jpg",)
    assert not evidence.folded
    assert "007.jpg" in stray_gate(evidence.strays).message


def test_pairs_held_out_are_those_nobody_compared() -> None:
    model = orbit()
    overlaps = predicted_overlaps(model)
    pairs = held_out_pairs(overlaps, frozenset({(overlaps[0].first, overlaps[0].second)}), 5)
    assert len(pairs) == 5 and (overlaps[0].first, overlaps[0].second) not in pairs
    assert held_out_pairs(overlaps, frozenset((o.first, o.second) for o in overlaps), 5) == []


def test_a_jump_in_time_is_found_where_it_is() -> None:
    model = orbit()
    times = {image.name: 0.5 * k for k, image in enumerate(model.images)}
    assert find_jumps(model, times) == []
    jumps = find_jumps(replaced(model, dict.fromkeys(range(12, VIEWS), 180.0)), times)
    assert [(j.first, j.second) for j in jumps] == [("011.jpg", "012.jpg")]
    gate = trajectory_gate(jumps)
    assert not gate.passed and "011.jpg (5.5 s)" in gate.message
    assert trajectory_gate([]).passed


def test_a_focal_length_at_its_bounds_is_not_believed() -> None:
    assert all(gate.passed for gate in focal_gates(0.8, (0.4, 3.0)))
    sane, usual = focal_gates(2.99, (0.4, 3.0))
    assert (sane.passed, sane.severity, usual.passed) == (False, "block", False)
    assert focal_gates(2.7, (0.4, 3.0))[0].passed and not focal_gates(2.7, (0.4, 3.0))[1].passed
    # EXIF says 4 times the longest side: a tele lens, and fine.
    assert all(gate.passed for gate in focal_gates(4.0, (2.4, 6.4)))


def test_a_damaged_database_fails_the_stage(tmp_path: Path) -> None:
    (tmp_path / "database.db").write_bytes(b"SQLite format 3\0" + bytes(range(200)) * 20)
    with pytest.raises(StageFailed, match=r"database\.db cannot be read"):
        read_matches(tmp_path / "database.db", ["a.jpg"])


def box_keyframes(folder: Path, sides: tuple[int, int, int, int]) -> object:
    box = BoxOrbit(sides, width=400, height=300)
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    return write_keyframes(folder, [box.render(*box.camera(angle)) for angle in angles])


@pytest.mark.slow
@pytest.mark.parametrize(("sides", "genuine"), [((1, 2, 3, 4), True), ((1, 2, 1, 2), False)])
def test_a_box_with_equal_sides_fools_colmap_and_not_the_gate(
    tmp_path: Path, sides: tuple[int, int, int, int], genuine: bool
) -> None:
    keyframes = box_keyframes(tmp_path / "keyframes", sides)
    result = estimate_poses(keyframes, PoseSettings(threads=2, features=1000), tmp_path / "poses")  # type: ignore[arg-type]
    metrics, gates = result.metrics, {gate.name: gate for gate in result.verdict.gates}
    assert metrics["registered_ratio"] > 0.9 and metrics["mean_reprojection_error_px"] < 1.0, "COLMAP is content"
    others = {gate.name for gate in result.verdict.blocking} - {"fold"}
    assert not others, "no other gate sees it"
    assert gates["fold"].passed == genuine
    if not genuine:
        assert "film" in gates["fold"].advice
