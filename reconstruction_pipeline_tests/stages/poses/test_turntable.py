"""A box on a turntable before a textured wall: only on request, right against the truth, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.orchestration import gates
from reconstruction_pipeline.orchestration.pipeline import Pipeline
from reconstruction_pipeline.orchestration.scene_run import _config
from reconstruction_pipeline.presets import PoseChoices
from reconstruction_pipeline.stages.poses import PoseSettings, climb, estimate_poses
from reconstruction_pipeline.stages.poses.rungs import Rung, ladder, turntable_rung
from reconstruction_pipeline_tests.stages.captures import texture
from reconstruction_pipeline_tests.stages.poses.boxes import BoxOrbit
from reconstruction_pipeline_tests.stages.poses.simulated import errors_of
from reconstruction_pipeline_tests.stages.poses.test_estimate_poses import write_keyframes

COUNT = 24
SETTINGS = PoseSettings(threads=2, features=900, turntable=True)
BOX = BoxOrbit((1, 2, 3, 4), width=400, height=300)


def by_hand(count: int) -> np.ndarray:
    """A turn of 340 degrees in steps of which no two are alike."""
    return np.cumsum(np.radians(340.0 / count) * np.random.default_rng(5).uniform(0.8, 1.2, count))


def film(
    folder: Path, wall: bool = True, sway: bool = False, focal: float | None = None, count: int = COUNT
) -> Keyframes:
    behind = texture(400, 9)[:300] if wall else None
    poses = [BOX.camera(angle) if sway else BOX.on_circle(angle) for angle in by_hand(count)]
    return write_keyframes(folder, [BOX.render(*pose, behind) for pose in poses], focal=focal)


def truth(count: int = COUNT) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {f"{k:05d}.jpg": BOX.on_circle(angle) for k, angle in enumerate(by_hand(count))}


def only_quick(settings: PoseSettings, ordered: bool, *first: object) -> Sequence[Rung]:
    return ladder(settings, ordered)[:1]


def hopeless(settings: PoseSettings, ordered: bool, *first: object) -> Sequence[Rung]:
    """COLMAP is not content with any first pair."""
    return [replace(ladder(settings, ordered)[0], init_min_inliers=10**6)]


@pytest.fixture(scope="module")
def before_a_wall(tmp_path_factory: pytest.TempPathFactory) -> Keyframes:
    return film(tmp_path_factory.mktemp("turntable"), focal=BOX.focal)


def assumed(keyframes: Keyframes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> CameraPoses:
    monkeypatch.setattr(climb, "ladder", hopeless)
    monkeypatch.setattr(climb, "turntable_rung", lambda s, o: replace(turntable_rung(s, o), exhaustive=False))
    return estimate_poses(keyframes, SETTINGS, folder)


@pytest.mark.slow
def test_a_circle_is_assumed_and_refined(
    before_a_wall: Keyframes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poses = assumed(before_a_wall, tmp_path, monkeypatch)
    metrics, found = poses.metrics, {gate.name: gate for gate in poses.verdict.gates}
    errors = errors_of(poses.model(), truth())
    print(errors, metrics["turntable"], metrics["off_circle_ratio"], metrics["still_features_ratio"], metrics["cpu_s"])
    assert (metrics["registered"], metrics["rung"], metrics["backend"]) == (COUNT, "turntable", "colmap-turntable")
    assert [rung["name"] for rung in metrics["rungs"]] == ["quick", "turntable"]
    assert "no model" in metrics["rungs"][1]["why"]
    assert errors.ate < 0.005 and errors.rotation_deg < 0.3
    assert metrics["focal_px"] == pytest.approx(BOX.focal, rel=0.02)
    assert metrics["turntable_assumed"] is True and metrics["off_circle_ratio"] < 0.02
    assert metrics["still_features_ratio"] > 0.2, "the wall"
    assert found["turntable"].passed and "assumed" in found["turntable"].message
    assert not found["first_settings"].passed and "turntable" in found["first_settings"].message
    assert ("turntable", "block") in gates.CAMERA_POSES
    down = np.mean([image.rotation.T @ truth()[image.name][0][:, 1] for image in poses.model().images], axis=0)
    assert np.degrees(np.arccos(down[1] / np.linalg.norm(down))) < 0.5, "up is the axis"


@pytest.mark.slow
@pytest.mark.soak
def test_what_stands_still_is_left_out_for_colmap_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Steps of 12 degrees on average; at 14, COLMAP loses the box at its edges, and the circle is needed.
    keyframes, settings = film(tmp_path / "keyframes", count=28), replace(SETTINGS, features=1200)
    monkeypatch.setattr(climb, "ladder", only_quick)
    poses = estimate_poses(keyframes, settings, tmp_path / "asked")
    gate = next(gate for gate in poses.verdict.gates if gate.name == "turntable")
    assert poses.metrics["rung"] == "quick" and poses.metrics["turntable_assumed"] is False
    assert gate.passed and "not needed" in gate.message and "stood still" in gate.message
    assert errors_of(poses.model(), truth(28)).ate < 0.005
    # Nobody is told of a turntable who did not ask, and the wall wins: nothing moves but the box.
    try:
        wall = estimate_poses(keyframes, replace(settings, turntable=False), tmp_path / "not-asked")
    except StageFailed:
        return
    assert "turntable" not in {gate.name for gate in wall.verdict.gates} and "turntable" not in wall.metrics
    print(wall.metrics["registered"], [gate.name for gate in wall.verdict.gates if not gate.passed])
    assert not wall.verdict.ok or errors_of(wall.model(), truth(28)).ate < 0.01


@pytest.mark.slow
@pytest.mark.soak
def test_the_focal_length_is_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poses = assumed(film(tmp_path / "keyframes"), tmp_path / "poses", monkeypatch)
    print(errors_of(poses.model(), truth()), poses.metrics["turntable"], poses.metrics["focal_px"])
    assert poses.metrics["registered"] == COUNT and errors_of(poses.model(), truth()).ate < 0.005
    assert poses.metrics["focal_px"] == pytest.approx(BOX.focal, rel=0.02)


@pytest.mark.slow
@pytest.mark.soak
def test_a_walk_that_is_no_circle_is_refused_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyframes = film(tmp_path / "keyframes", wall=False, sway=True)
    try:
        poses = assumed(keyframes, tmp_path / "poses", monkeypatch)
    except StageFailed as refusal:
        assert "turntable" in str(refusal) and "\n" not in str(refusal)
        return
    gate = next(gate for gate in poses.verdict.gates if gate.name == "turntable")
    print(gate)
    assert not gate.passed and gate.severity == "block" and gate.advice


def test_nothing_of_it_happens_unasked() -> None:
    assert PoseSettings().turntable is False and PoseChoices().settings(PoseSettings()).turntable is False
    assert Pipeline().row.camera_poses.turntable is False
    assert _config(PoseChoices(turntable=True)) == {"turntable": True}
    assert Pipeline(**_config(PoseChoices(turntable=True))).row.camera_poses.turntable is True
    assert "turntable" not in [rung.mapper for rung in ladder(PoseSettings(turntable=True), ordered=True)]
