"""Masks: honoured by feature extraction, and undistorted alongside the images; GPS in the same run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import Camera
from reconstruction_pipeline.artifacts.gps import GpsFix, write_gps
from reconstruction_pipeline.kernels.geodesy import LocalFrame
from reconstruction_pipeline.stages.poses import PoseSettings, estimate_poses
from reconstruction_pipeline.stages.poses.masks import distort, undistorted_mask
from reconstruction_pipeline_tests.stages.captures import RoomCorner
from reconstruction_pipeline_tests.stages.poses.test_estimate_poses import ANGLES, write_keyframes

FROM = 330


def test_distortion_is_colmaps() -> None:
    radial = Camera("RADIAL", 200, 100, (150.0, 100.0, 50.0, 0.1, -0.02))
    assert distort(radial, np.array([[0.4, 0.3]]))[0] == pytest.approx(
        [100 + 150 * 0.4 * (1 + 0.1 * 0.25 - 0.02 * 0.0625), 50 + 150 * 0.3 * (1 + 0.1 * 0.25 - 0.02 * 0.0625)]
    )
    # Against OpenCV's formulas, which are those of COLMAP's OPENCV model.
    lens = (140.0, 150.0, 99.0, 51.0, 0.1, -0.05, 0.01, -0.02)
    matrix = np.array([[140.0, 0, 99], [0, 150, 51], [0, 0, 1]])
    rays = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 2))
    expected, _ = cv2.projectPoints(
        np.column_stack([rays, np.ones(20)]), np.zeros(3), np.zeros(3), matrix, np.array(lens[4:])
    )
    assert np.allclose(distort(Camera("OPENCV", 200, 100, lens), rays), expected[:, 0])


def test_a_mask_follows_the_lens() -> None:
    source = Camera("SIMPLE_RADIAL", 200, 100, (150.0, 100.0, 50.0, -0.2))
    target = Camera("PINHOLE", 190, 90, (150.0, 150.0, 95.0, 45.0))
    mask = np.full((100, 200), 255, np.uint8)
    mask[:, 150:] = 0
    result = undistorted_mask(mask, source, target)
    assert result.shape == (90, 190) and set(np.unique(result)) == {0, 255}
    # Column 150 of the picture, in its middle row: (150 - 100) / 150 = x (1 - 0.2 x^2) has the root x = 0.3419.
    edge = 95 + 150 * 0.3419
    assert abs(int((result[45] == 255).sum()) - edge) <= 1


def test_nothing_is_seen_behind_a_mask_and_gps_gives_metres(tmp_path: Path) -> None:
    room = RoomCorner()
    keyframes = write_keyframes(tmp_path / "keyframes", [room.render(*room.camera(a)) for a in ANGLES])
    keyframes.path("masks").mkdir()
    mask = np.full((room.height, room.width), 255, np.uint8)
    mask[:, FROM:] = 0
    for i in range(len(ANGLES)):
        cv2.imwrite(str(keyframes.path("masks", f"{i:05d}.jpg.png")), mask if i != 4 else np.full_like(mask, 255))
    frame = LocalFrame(-33.0, 151.0, 12.0)
    x, down, north = np.array([room.camera(a)[1] for a in ANGLES]).T
    at = frame.geodetic(np.column_stack([x, north, -down])).tolist()
    fixes = [GpsFix(lat, lon, height, 0.02, f"{i:05d}.jpg") for i, (lat, lon, height) in enumerate(at)]
    write_gps(keyframes.path("gps.csv"), fixes)
    poses = estimate_poses(keyframes, PoseSettings(threads=2, features=1200), tmp_path / "poses")
    model = poses.model()
    assert len(model.images) == len(ANGLES)
    for image in model.images:
        seen = poses.mask(image.name)
        camera = model.cameras[image.camera_id]
        assert seen is not None and seen.shape == (camera.height, camera.width)
        if image.name == "00004.jpg":
            assert image.xy[:, 0].max() > FROM + 20, "this one has no mask"
            continue
        rows, columns = np.floor(image.xy[:, ::-1]).astype(int).T
        assert (seen[rows, columns] == 255).mean() > 0.98, "none but those on the very edge"
        assert 0.6 < (seen == 255).mean() < 0.8
    assert poses.metrics["unit"] == "metre" and poses.metrics["georeferenced"] is True
    assert poses.metrics["gps_rmse_m"] < 0.03
    true = np.array([room.camera(a)[1] for a in ANGLES])
    found = np.linalg.norm(model.centers[0] - model.centers[-1])
    assert found == pytest.approx(np.linalg.norm(true[0] - true[-1]), rel=0.02)
    placed = re.findall(r"-?\d+\.\d+", poses.path("transform.json").read_text() + json.dumps(dict(poses.metrics)))
    assert not [n for n in map(float, placed) if abs(n - 151.0) < 0.1 or abs(n + 33.0) < 0.1], "the place stays secret"
    origin = json.loads(poses.path("georeference.json").read_text())["origin"]
    assert origin["latitude"] == pytest.approx(-33.0, abs=1e-3)
