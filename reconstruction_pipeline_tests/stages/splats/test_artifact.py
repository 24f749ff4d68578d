"""The stage on artifacts: a COLMAP folder (and depth maps) in, a measured scene with its files out."""

import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, PosedImage, write_model
from reconstruction_pipeline.artifacts.depth_maps import DepthMaps
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.progress import RecordingProgress
from reconstruction_pipeline.artifacts.views import load_picture
from reconstruction_pipeline.stages.splats import TrainSettings, gaussian_splats
from reconstruction_pipeline.stages.splats.inputs import dense_points_of
from reconstruction_pipeline_tests.stages.splats.lpips_weights import accept, write_weights

SETTINGS = TrainSettings(steps=80, seconds=None, max_splats=3000, holdout=6, device="cpu", checkpoint_seconds=0.02)


def quaternion_of(rotation):
    w = 0.5 * np.sqrt(max(0.0, 1 + np.trace(rotation)))
    x, y, z = (rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1])
    return (w, x / (4 * w), y / (4 * w), z / (4 * w))


@pytest.fixture
def poses(tiny_scene, tmp_path):
    """The tiny scene as an artifact of the stage before."""
    folder = tmp_path / "poses"
    (folder / "images").mkdir(parents=True)
    images, cameras = [], {}
    for view in tiny_scene.views:
        c = view.camera
        cameras[1] = Camera("PINHOLE", c.width, c.height, (c.fx, c.fy, c.cx, c.cy))
        none = np.empty((0, 2)), np.empty(0, np.int64)
        images.append(PosedImage(view.name, 1, quaternion_of(c.rotation), c.rotation, c.translation, *none))
        cv2.imwrite(str(folder / "images" / view.name), view.load()[:, :, ::-1])
    n = len(tiny_scene.points.xyz)
    model = ColmapModel(
        cameras, tuple(images), tiny_scene.points.xyz, tiny_scene.points.rgb, np.zeros(n), np.zeros(n, np.int64)
    )
    write_model(folder / "sparse" / "0", model)
    return CameraPoses(folder)


@pytest.fixture
def depth_maps(tiny_scene, tmp_path):
    """Depth of the wall by projecting its Gaussians' centres; everything else is unknown."""
    folder = tmp_path / "depths"
    (folder / "depth").mkdir(parents=True)
    for view in tiny_scene.views:
        camera = view.camera.scaled(40, 32)
        local = tiny_scene.truth.means @ camera.rotation.T + camera.translation
        u = (camera.fx * local[:, 0] / local[:, 2] + camera.cx).astype(int)
        v = (camera.fy * local[:, 1] / local[:, 2] + camera.cy).astype(int)
        inside = (u >= 0) & (u < 40) & (v >= 0) & (v < 32)
        depth = np.zeros((32, 40), np.float32)
        depth[v[inside], u[inside]] = local[inside, 2]
        np.savez(folder / "depth" / f"{view.name}.npz", depth=depth, confidence=(depth > 0).astype(np.float32))
    return DepthMaps(folder)


def test_training_can_start_from_the_sparse_points_alone(poses, depth_maps, tmp_path):
    settings = replace(SETTINGS, steps=10, dense_share=0.0)
    splats = gaussian_splats(poses, depth_maps, settings, tmp_path / "out", RecordingProgress())
    assert splats.metrics["dense_points"] == 0 and splats.metrics["initial_points"] > 0


def test_artifacts_in_artifact_out(poses, depth_maps, tmp_path):
    progress = RecordingProgress()
    splats = gaussian_splats(poses, depth_maps, SETTINGS, tmp_path / "out", progress, tmp_path / "saved")
    splats.validate()
    assert splats.verdict.ok, splats.verdict.sentence()
    assert splats.gaussians().count == splats.metrics["count"] <= 3000
    assert splats.metrics["dense_points"] > 0 and splats.metrics["steps"] == 80
    for name in ("psnr_holdout_db", "ssim_holdout", "seconds", "peak_rss_mb", "backend", "fallback_level"):
        assert splats.metrics[name] is not None
    with splats.path("evaluation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["00.png", "06.png"]
    assert np.mean([float(row["psnr"]) for row in rows]) == pytest.approx(splats.metrics["psnr_holdout_db"])
    assert {"step", "seconds", "loss", "count", "level"} <= set(splats.training_curve().columns)
    assert len(list(splats.path("comparisons").glob("*.jpg"))) == 2 and splats.previews()
    assert cv2.imread(str(splats.path("comparisons", "06.jpg"))).shape == (64, 3 * 80, 3)
    assert splats.metrics["lpips_holdout"] is None and splats.evaluation()["lpips"].isna().all()
    assert {report[0] for report in progress.reports} >= {"loading images", "training"}
    assert not list((tmp_path / "saved").iterdir())


def test_lpips_is_measured_where_its_weights_are(poses, tmp_path, monkeypatch):
    write_weights(tmp_path / "weights")
    few = replace(SETTINGS, steps=5)
    with pytest.raises(InvalidArtifact, match="SHA-256"):  # before any training, which would be lost
        gaussian_splats(poses, None, few, tmp_path / "none", NoTraining(), weights_folder=tmp_path / "weights")
    accept(tmp_path / "weights", monkeypatch)
    splats = gaussian_splats(
        poses, None, few, tmp_path / "out", RecordingProgress(), weights_folder=tmp_path / "weights"
    )
    rows = splats.evaluation()
    assert splats.metrics["lpips_holdout"] == pytest.approx(rows["lpips"].mean()) and rows["lpips"].min() > 0


def test_masks_of_the_poses_are_heeded(poses, tmp_path):
    """A red bar over the right of every picture spoils the score, unless masks say to ignore it."""
    for path in poses.path("images").iterdir():
        picture = cv2.imread(str(path))
        picture[:, 60 - 2 * int(path.stem) :] = (0, 0, 255)
        cv2.imwrite(str(path), picture)
    spoiled = gaussian_splats(poses, None, SETTINGS, tmp_path / "spoiled", RecordingProgress())
    poses.path("masks").mkdir()
    for path in poses.path("images").iterdir():
        mask = np.full((64, 80), 255, np.uint8)
        mask[:, 60 - 2 * int(path.stem) :] = 0
        cv2.imwrite(str(poses.path("masks") / f"{path.name}.png"), mask)
    masked = gaussian_splats(poses, None, SETTINGS, tmp_path / "masked", RecordingProgress())
    assert masked.metrics["psnr_holdout_db"] > spoiled.metrics["psnr_holdout_db"] + 2.0


class NoTraining(RecordingProgress):
    """Fails the test when anything is begun."""

    def report(self, *what):
        raise AssertionError(f"{what} was begun")


def test_depth_of_held_out_views_is_not_used(poses, depth_maps, tiny_scene):
    names = [view.name for view in tiny_scene.views]
    some = dense_points_of(poses, depth_maps, names[:3])
    everything = dense_points_of(poses, depth_maps, names)
    assert 0 < len(some.xyz) < len(everything.xyz)
    np.testing.assert_allclose(np.linalg.norm(some.normals, axis=1), 1.0, atol=1e-4)
    assert dense_points_of(poses, depth_maps, []) is None


def test_a_missing_image_is_named(poses):
    path = poses.image_path("03.png")
    path.unlink()
    with pytest.raises(InvalidArtifact, match=r"03\.png: missing or unreadable"):
        load_picture(path)
