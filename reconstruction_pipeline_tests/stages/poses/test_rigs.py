"""Poses of a 360° video's views against the truth: one pose a moment, relative rotations as they were cut."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.camera_rig import CameraRig, write_views
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.stages.keyframes import tables
from reconstruction_pipeline.stages.keyframes.images import write_jpeg
from reconstruction_pipeline.stages.keyframes.panorama import PanoramaViews
from reconstruction_pipeline.stages.poses import PoseSettings, climb, estimate_poses
from reconstruction_pipeline.stages.poses.rigs import choose_rig_pairs, described, neighbouring_views
from reconstruction_pipeline.stages.poses.rungs import ladder
from reconstruction_pipeline_tests.stages.panorama_room import PanoramaRoom, Place, walk
from reconstruction_pipeline_tests.stages.poses.test_estimate_poses import aligned_errors

WIDTH, VIEWS = 768, 6
PLACES = walk(7)
SETTINGS = PoseSettings(threads=2, features=600, overlap=2)


def cut_keyframes(folder: Path, places: list[Place]) -> Keyframes:
    """Keyframes as the stage before writes them, from rendered panoramas."""
    room, views = PanoramaRoom(WIDTH), PanoramaViews.of(WIDTH, VIEWS, False, 1024)
    (folder / "images").mkdir(parents=True)
    rows = []
    for number, place in enumerate(places):
        for camera, picture in enumerate(views.cut(room.render(place))):
            name = f"{number:05d}_{camera}.jpg"
            write_jpeg(folder / "images" / name, picture, 95)
            size = {"width": views.size, "height": views.size, "focal_px": views.focal_px}
            rows.append(
                {"name": name, "timestamp_s": number / 5, "train": 1, "frame": number, **size, "camera": camera}
            )
    tables.write_table(folder / "keyframes.csv", rows)
    tables.write_camera(folder / "camera.json", True, views.size, views.size, views.focal_px)
    write_views(folder / "rig.json", views.rotations)
    return Keyframes(folder)


@pytest.fixture(scope="module")
def keyframes(tmp_path_factory: pytest.TempPathFactory) -> Keyframes:
    return cut_keyframes(tmp_path_factory.mktemp("panoramas"), PLACES)


@pytest.fixture(scope="module")
def poses(keyframes: Keyframes, tmp_path_factory: pytest.TempPathFactory) -> CameraPoses:
    return estimate_poses(keyframes, SETTINGS, tmp_path_factory.mktemp("poses"))


def rig_of(keyframes: Keyframes) -> CameraRig:
    rig = keyframes.rig()
    assert rig
    return rig


def test_every_view_is_where_it_was(keyframes: Keyframes, poses: CameraPoses) -> None:
    poses.validate()
    assert poses.verdict.ok, [gate.message for gate in poses.verdict.gates if not gate.passed]
    model = poses.model()
    placed = {image.name: image for image in model.images}
    rig = rig_of(keyframes)
    assert set(placed) == {name for shot in rig.shots for name in shot}
    true = np.array([place.center for place in PLACES])
    centers = np.array([placed[shot[0]].center for shot in rig.shots])
    extent = float(np.linalg.norm(np.ptp(true, axis=0)))
    assert np.sqrt((aligned_errors(centers, true) ** 2).mean()) < 0.001 * extent
    for shot, place in zip(rig.shots, PLACES, strict=True):
        world = placed[shot[0]].rotation.T @ rig.rotations[0] @ place.rotation
        first = placed[rig.shots[0][0]].rotation.T @ rig.rotations[0] @ PLACES[0].rotation
        assert _degrees(world @ first.T) < 0.1


def test_the_rig_is_as_stiff_as_it_was_cut(keyframes: Keyframes, poses: CameraPoses) -> None:
    assert_stiff(keyframes, poses)


@pytest.mark.soak
def test_the_global_mapper_keeps_the_rig_too(
    keyframes: Keyframes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung = replace(ladder(SETTINGS, True)[0], mapper="global")
    monkeypatch.setattr(climb, "ladder", lambda *chosen: (rung,))
    found = estimate_poses(keyframes, SETTINGS, tmp_path)
    assert found.metrics["backend"] == "colmap-global" and found.metrics["registered_ratio"] == 1.0
    assert_stiff(keyframes, found)


def assert_stiff(keyframes: Keyframes, poses: CameraPoses) -> None:
    placed = {image.name: image for image in poses.model().images}
    rig = rig_of(keyframes)
    for shot in rig.shots:
        for a, b in combinations(range(VIEWS), 2):
            first, second = placed[shot[a]], placed[shot[b]]
            assert np.linalg.norm(first.center - second.center) < 1e-6
            turned = second.rotation @ first.rotation.T
            assert _degrees(turned @ (rig.rotations[b] @ rig.rotations[a].T).T) < 1e-4
    for camera in poses.model().cameras.values():
        assert camera.pinhole() == pytest.approx((122, 122, 122, 122), abs=0.01)


@pytest.mark.soak
def test_turning_in_one_place_makes_no_model(tmp_path: Path) -> None:
    from reconstruction_pipeline.artifacts.errors import StageFailed

    keyframes = cut_keyframes(tmp_path / "keyframes", [Place(np.zeros(3), place.rotation) for place in walk(6)])
    try:
        found = estimate_poses(keyframes, SETTINGS, tmp_path / "poses")
    except StageFailed as error:
        assert "do not only turn" in str(error)
    else:
        assert not found.verdict.ok


def test_only_views_of_different_moments_are_compared(keyframes: Keyframes) -> None:
    rig = rig_of(keyframes)
    assert len(neighbouring_views(rig.rotations)) == 3 * VIEWS
    rung = {**vars(ladder(SETTINGS, True)[0]), "overlap": 2, "similar": 0}
    job = {"rig": described(rig), "rung": rung, "seed": 0}
    names = sorted(name for shot in rig.shots for name in shot)
    descriptors = [np.random.default_rng(i).integers(0, 255, (20, 128), np.uint8) for i in range(len(names))]
    pairs = choose_rig_pairs(job, descriptors)
    moments = [(int(names[a].split("_")[0]), int(names[b].split("_")[0])) for a, b in pairs]
    assert all(a != b for a, b in moments)
    assert (0, 1) in moments and len(set(pairs)) == len(pairs)


def _degrees(rotation: np.ndarray) -> float:
    """Angle of a rotation, exact for small ones."""
    skew = rotation - rotation.T
    sine = np.linalg.norm([skew[2, 1], skew[0, 2], skew[1, 0]]) / 2
    return float(np.degrees(np.arctan2(sine, (np.trace(rotation) - 1) / 2)))
