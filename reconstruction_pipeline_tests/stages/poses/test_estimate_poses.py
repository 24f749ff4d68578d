"""Structure from motion on a room corner whose cameras are known."""

from __future__ import annotations

import csv
import json
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.errors import MissingRequirement, StageFailed, UsageError
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.verdict import Verdict
from reconstruction_pipeline.stages.ingest import ingest
from reconstruction_pipeline.stages.keyframes import KeyframeSettings, select_keyframes
from reconstruction_pipeline.stages.poses import PoseSettings, cameras, climb, estimate_poses
from reconstruction_pipeline.stages.poses.climb import only_turned
from reconstruction_pipeline.stages.poses.gates import pose_gates
from reconstruction_pipeline.stages.poses.rungs import can_help, ladder
from reconstruction_pipeline.stages.splats.inputs import views_of
from reconstruction_pipeline_tests.stages.captures import RoomCorner, real_capture, texture

ANGLES = np.linspace(-0.35, 0.35, 10)
SETTINGS = PoseSettings(threads=2, features=1200)


def write_keyframes(
    folder: Path, images: list[np.ndarray], ordered: bool = True, focal: float | None = None
) -> Keyframes:
    (folder / "images").mkdir(parents=True)
    with (folder / "keyframes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "timestamp_s", "width", "height", "focal_px"])
        for i, image in enumerate(images):
            Image.fromarray(image).save(folder / "images" / f"{i:05d}.jpg", quality=95)
            writer.writerow([f"{i:05d}.jpg", i / 10, image.shape[1], image.shape[0], focal or ""])
    height, width = images[0].shape[:2]
    document = {"ordered": ordered, "width": width, "height": height, "focal_px": focal}
    (folder / "camera.json").write_text(json.dumps(document))
    return Keyframes(folder)


@pytest.fixture(scope="module")
def room_keyframes(tmp_path_factory: pytest.TempPathFactory) -> Keyframes:
    room = RoomCorner()
    return write_keyframes(tmp_path_factory.mktemp("room"), [room.render(*room.camera(a)) for a in ANGLES])


@pytest.fixture(scope="module")
def poses(room_keyframes: Keyframes, tmp_path_factory: pytest.TempPathFactory) -> CameraPoses:
    return estimate_poses(room_keyframes, SETTINGS, tmp_path_factory.mktemp("poses"))


def aligned_errors(estimated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Distances after the best similarity (Umeyama 1991)."""
    a, b = estimated - estimated.mean(axis=0), true - true.mean(axis=0)
    u, s, vt = np.linalg.svd(b.T @ a)
    signs = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (s * np.diag(signs)).sum() / (a**2).sum()
    return np.linalg.norm(scale * a @ (u @ signs @ vt).T - b, axis=1)


def test_the_cameras_are_where_they_were(poses: CameraPoses) -> None:
    poses.validate()
    room = RoomCorner()
    true = np.array([room.camera(a)[1] for a in ANGLES])
    model = poses.model()
    assert [i.name for i in model.images] == [f"{i:05d}.jpg" for i in range(len(ANGLES))]
    extent = np.linalg.norm(np.ptp(true, axis=0))
    assert np.sqrt((aligned_errors(model.centers, true) ** 2).mean()) < 0.01 * extent
    assert poses.metrics["focal_px"] == pytest.approx(room.focal, rel=0.02)


def test_the_world_is_y_down(poses: CameraPoses) -> None:
    room = RoomCorner()
    for image, angle in zip(poses.model().images, ANGLES, strict=True):
        down_in_camera = room.camera(angle)[0] @ [0, 1, 0]
        assert np.degrees(np.arccos(image.rotation @ [0, 1, 0] @ down_in_camera)) < 5


def test_the_images_are_pinhole_and_fit_their_camera(poses: CameraPoses) -> None:
    model = poses.model()
    (camera,) = model.cameras.values()
    assert camera.model == "PINHOLE"
    for image in model.images:
        with Image.open(poses.image_path(image.name)) as picture:
            assert picture.size == (camera.width, camera.height)
        assert image.xy.min() >= 0 and (image.xy <= [camera.width, camera.height]).all()
    seen = model.xyz[model.images[0].point_rows] @ model.images[0].rotation.T + model.images[0].translation
    fx, fy, cx, cy = camera.pinhole()
    projected = np.column_stack([fx * seen[:, 0] / seen[:, 2] + cx, fy * seen[:, 1] / seen[:, 2] + cy])
    assert np.median(np.linalg.norm(projected - model.images[0].xy, axis=1)) < 1.0
    assert sorted(p.name for p in poses.path("sparse", "0").iterdir()) == ["cameras.bin", "images.bin", "points3D.bin"]


def test_frames_for_the_path_only_help_to_place_the_rest_and_are_left_out(
    room_keyframes: Keyframes, tmp_path: Path
) -> None:
    shutil.copytree(room_keyframes.folder, tmp_path / "keyframes")
    keyframes = Keyframes(tmp_path / "keyframes")
    table = keyframes.table()
    table["train"] = [0 if row in (4, 7) else 1 for row in range(len(table))]
    table.to_csv(keyframes.path("keyframes.csv"), index=False)
    poses = estimate_poses(keyframes, SETTINGS, tmp_path / "poses")
    poses.validate()
    trained = [f"{i:05d}.jpg" for i in range(10) if i not in (4, 7)]
    assert (poses.metrics["images"], poses.metrics["registered"], poses.metrics["for_path_only"]) == (10, 10, 2)
    assert [i.name for i in poses.model().images] == trained
    assert sorted(p.name for p in poses.path("images").iterdir()) == trained
    assert [view.name for view in views_of(poses.model(), poses.image_path)] == trained
    status = {row["name"]: row["status"] for row in csv.DictReader(poses.path("images.csv").open())}
    assert status["00004.jpg"] == status["00007.jpg"] == "registered, for the path only"


def test_metrics_gates_and_files(poses: CameraPoses) -> None:
    metrics = poses.metrics
    assert (metrics["images"], metrics["registered"], metrics["registered_ratio"]) == (10, 10, 1.0)
    assert metrics["points"] == len(poses.model().xyz)
    assert metrics["mean_reprojection_error_px"] < 1.0
    assert metrics["mean_track_length"] >= 3
    assert metrics["median_triangulation_angle_deg"] > 2
    assert metrics["parallax"] > 0.05
    assert metrics["fallback_level"] == 0
    assert metrics["peak_rss_mb"] > 50
    assert {g.name for g in poses.verdict.gates if not g.passed} <= {"points"}, "a tiny scene may be short of points"
    assert json.loads(poses.path("transforms.json").read_text())["frames"][0]["file_path"] == "images/00000.jpg"
    assert np.array(json.loads(poses.path("transform.json").read_text())["matrix"]).shape == (4, 4)
    assert "image" in poses.path("colmap.log").read_text()
    assert [p.name for p in poses.previews()] == ["camera_path.jpg"]
    assert poses.previews()[0].stat().st_size <= 60_000
    assert not poses.path(".colmap").exists()


def test_pycolmap_reads_what_was_written(poses: CameraPoses) -> None:
    script = (
        "import sys, pycolmap; m = pycolmap.Reconstruction(sys.argv[1]);"
        " print(m.num_reg_images(), m.num_points3D(), m.compute_mean_reprojection_error())"
    )
    command = [sys.executable, "-c", script, str(poses.path("sparse", "0"))]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert [int(said[0]), int(said[1])] == [10, poses.metrics["points"]]
    assert float(said[2]) < 1.5


def test_features_that_colmap_lacks_are_refused_before_any_work(room_keyframes: Keyframes, tmp_path: Path) -> None:
    with pytest.raises(MissingRequirement, match="ONNX"):
        estimate_poses(room_keyframes, replace(SETTINGS, feature_type="ALIKED_N16ROT"), tmp_path)
    with pytest.raises(UsageError, match="no features called BRISK"):
        estimate_poses(room_keyframes, replace(SETTINGS, feature_type="BRISK"), tmp_path)
    with pytest.raises(UsageError, match="camera model"):
        estimate_poses(room_keyframes, replace(SETTINGS, camera_model="FISHY"), tmp_path)


def test_pictures_that_share_nothing_say_what_to_film(tmp_path: Path) -> None:
    keyframes = write_keyframes(tmp_path / "keyframes", [texture(200, seed) for seed in range(4)])
    with pytest.raises(StageFailed, match="do not only turn"):
        estimate_poses(keyframes, replace(SETTINGS, features=200), tmp_path / "poses")


def test_photos_of_two_lenses_get_two_cameras(tmp_path: Path) -> None:
    images = [np.zeros((60, 80, 3), np.uint8)] * 3 + [np.zeros((80, 60, 3), np.uint8)]
    keyframes = write_keyframes(tmp_path, images, ordered=False, focal=70.0)
    groups = cameras.camera_groups(keyframes, PoseSettings())
    assert [len(g["names"]) for g in groups] == [1, 3]
    assert groups[1]["camera_params"] == [70.0, 40.0, 30.0, 0.0]
    unknown = write_keyframes(tmp_path / "unknown", images[:3])
    (only,) = cameras.camera_groups(unknown, PoseSettings())
    assert only["camera_params"] == []
    assert cameras.focal_range(groups) == pytest.approx((0.6 * 70 / 80, 1.6 * 70 / 80))
    assert cameras.focal_range([*groups, only]) == (0.4, 3.0)


def test_plentiful_matches_without_parallax_end_the_ladder() -> None:
    turned = {"strong_pairs": 90, "pairs": 100, "homography_pairs": 90}
    assert only_turned(turned)
    assert not only_turned({**turned, "homography_pairs": 40})
    assert not only_turned({**turned, "strong_pairs": 20, "homography_pairs": 20})


def test_rungs_that_cannot_help_are_left_out() -> None:
    quick, more, every, whole, relaxed, guided = ladder(PoseSettings(), ordered=False)
    last = {"pairs": 190, "verified_pairs": 30}
    assert can_help(more, 20, last)
    assert not can_help(every, 20, last), "all 190 pairs of 20 images were compared"
    assert can_help(every, 30, last) and not can_help(every, 500, {**last, "pairs": 9000})
    assert can_help(whole, 20, last) and can_help(relaxed, 20, last) and can_help(guided, 20, last)
    assert [r.name for r in (quick, more, every, whole, relaxed, guided) if r.guided] == [guided.name], "the last alone"
    assert not can_help(whole, 20, {**last, "verified_pairs": 1}), "nothing to put together"
    folded = {**last, "folded": True}
    assert [r.name for r in (quick, more, every, whole, relaxed) if can_help(r, 30, folded)] == ["global mapper"]


@pytest.mark.slow
def test_a_second_try_is_recorded(room_keyframes: Keyframes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(climb, "ladder", lambda *chosen: ladder(*chosen)[:2])  # the other rungs take minutes
    never_satisfied = replace(SETTINGS, features=60, min_observations=5, retry_below=1.1)
    result = estimate_poses(room_keyframes, never_satisfied, tmp_path)
    assert result.metrics["fallback_level"] >= 1
    tried = result.metrics["rungs"]
    assert [t["name"] for t in tried][:2] == ["quick", "more features and pairs"]
    assert "images registered" in tried[1]["why"] or "pairs matched" in tried[1]["why"]
    assert result.metrics["rung"] in {t["name"] for t in tried}
    assert "first_settings" in {g.name for g in result.verdict.warnings}
    assert result.metrics["registered"] == 10


@pytest.mark.slow
def test_the_same_input_gives_the_same_poses(poses: CameraPoses, room_keyframes: Keyframes, tmp_path: Path) -> None:
    again = estimate_poses(room_keyframes, SETTINGS, tmp_path)
    for name in ("cameras.bin", "images.bin", "points3D.bin"):
        assert again.path("sparse", "0", name).read_bytes() == poses.path("sparse", "0", name).read_bytes()
    assert struct.unpack("<Q", poses.path("sparse", "0", "images.bin").read_bytes()[:8]) == (10,)


def failing_metrics() -> dict[str, object]:
    return {
        "images": 50,
        "registered": 20,
        "registered_ratio": 0.4,
        "points": 300,
        "mean_track_length": 2.5,
        "mean_reprojection_error_px": 1.9,
        "median_triangulation_angle_deg": 1.0,
        "parallax": None,
        "median_observations_per_image": 20.0,
    }


def test_each_failing_gate_speaks_and_advice_is_given_once() -> None:
    gates = pose_gates(failing_metrics(), ["a.jpg"], ["b.jpg"], 1, "more features")
    assert all(not gate.passed for gate in gates)
    verdict = Verdict.of(gates)
    assert {g.name for g in verdict.blocking} == {
        "registered",
        "points",
        "observations",
        "track_length",
        "reprojection_error",
        "triangulation_angle",
    }
    angle = {**failing_metrics(), "median_triangulation_angle_deg": 12.0}
    assert pose_gates({**angle, "parallax": 0.1}, [], [], 0, "")[7].passed
    assert not pose_gates({**angle, "parallax": 0.007}, [], [], 0, "")[7].passed
    advice = [gate.advice for gate in gates if gate.advice]
    assert len(advice) == len(set(advice))
    assert "a.jpg" in gates[1].message and "b.jpg" in gates[2].message
    assert verdict.sentence().startswith("20 of 50 images were placed (40 %).")


@pytest.mark.slow
def test_a_real_video_of_turning_only_is_refused(tmp_path: Path) -> None:
    source = ingest(real_capture("bad/rotation_only_synthetic.mp4"), tmp_path / "source")
    keyframes = select_keyframes(source, KeyframeSettings(count=16, max_size=640), tmp_path / "keyframes")
    with pytest.raises(StageFailed, match="do not only turn"):
        estimate_poses(keyframes, PoseSettings(threads=2), tmp_path / "poses")
