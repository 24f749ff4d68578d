"""How well a focal length is known, and when the one of EXIF is the better witness."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import (
    Camera,
    ColmapModel,
    PosedImage,
    read_model,
    rotation_of,
    write_model,
)
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.stages.poses import PoseSettings, estimate_poses
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.focal import AS_WELL, FocalEvidence
from reconstruction_pipeline.stages.poses.geometry import quaternion_of
from reconstruction_pipeline.stages.poses.masks import distort
from reconstruction_pipeline.stages.poses.uncertainty import focal_uncertainty
from reconstruction_pipeline_tests.stages.captures import RoomCorner
from reconstruction_pipeline_tests.stages.poses.test_estimate_poses import write_keyframes

LENS = Camera("SIMPLE_RADIAL", 640, 480, (500.0, 320.0, 240.0, 0.03))


def street(forward: bool, views: int = 8, points: int = 240, noise_px: float = 0.4) -> ColmapModel:
    """Walls on both sides of cameras that look along the street and go along it, or that look at a wall and pass by."""
    rng = np.random.default_rng(5)
    side = rng.choice([-1.0, 1.0], points)
    xyz = np.column_stack(
        [side * rng.uniform(2.5, 3.5, points), rng.uniform(-2, 1.5, points), rng.uniform(4, 30, points)]
    )
    if not forward:
        xyz = np.column_stack([rng.uniform(-4, 4, points), rng.uniform(-2, 2, points), rng.uniform(4, 9, points)])
    images = []
    for i in range(views):
        center = np.array([0.05 * rng.normal(), 0.02 * rng.normal(), 0.4 * i] if forward else [0.4 * i - 1.4, 0, 0.0])
        turn = rotation_of((1.0, *(0.01 * rng.normal(size=3) if forward else 0.1 * rng.normal(size=3))))
        local = (xyz - center) @ turn.T
        xy = distort(LENS, local[:, :2] / local[:, 2:]) + noise_px * rng.normal(size=(points, 2))
        seen = np.flatnonzero((local[:, 2] > 1) & ((xy > 0) & (xy < [640, 480])).all(axis=1))
        quaternion = quaternion_of(turn)
        images.append(PosedImage(f"{i}.jpg", 1, quaternion, turn, -turn @ center, xy[seen], seen))
    tracks = np.bincount(np.concatenate([i.point_rows for i in images]), minlength=points)
    model = ColmapModel({1: LENS}, tuple(images), xyz, np.full((points, 3), 99, np.uint8), np.full(points, 0.5), tracks)
    alive = np.flatnonzero(tracks >= 3)
    row_of = np.full(points, -1)
    row_of[alive] = np.arange(len(alive))
    kept = []
    for image in images:
        use = row_of[image.point_rows] >= 0
        kept.append(replace(image, xy=image.xy[use], point_rows=row_of[image.point_rows[use]]))
    return ColmapModel(
        {1: LENS}, tuple(kept), xyz[alive], model.rgb[alive], model.errors[alive], tracks[alive].astype(np.int64)
    )


def test_the_deviation_is_that_of_the_whole_normal_matrix() -> None:
    """Against derivatives by differences and one dense pseudo-inverse, on a handful of points."""
    model = street(False, views=4, points=25)
    images, count = model.images, len(model.xyz)

    def project(x: np.ndarray) -> np.ndarray:
        lens = Camera("SIMPLE_RADIAL", 640, 480, (500.0 * np.exp(x[0]), 320.0, 240.0, 0.03 + x[1]))
        xyz = model.xyz + x[2 + 6 * len(images) :].reshape(count, 3)
        found = []
        for i, image in enumerate(images):
            turn, shift = np.split(x[2 + 6 * i : 8 + 6 * i], 2)
            cross = np.array([[0, -turn[2], turn[1]], [turn[2], 0, -turn[0]], [-turn[1], turn[0], 0]])
            local = xyz[image.point_rows] @ image.rotation.T + image.translation
            local = local + local @ cross.T + shift
            found.append(distort(lens, local[:, :2] / local[:, 2:]).ravel())
        return np.concatenate(found)

    size = 2 + 6 * len(images) + 3 * count
    steps = 1e-6 * np.eye(size)
    jacobian = np.column_stack([(project(step) - project(-step)) / 2e-6 for step in steps])
    residual = project(np.zeros(size)) - np.concatenate([image.xy.ravel() for image in images])
    variance = (residual**2).sum() / (len(residual) - (size - 7))
    expected = np.sqrt(variance * np.linalg.pinv(jacobian.T @ jacobian, rcond=1e-11, hermitian=True)[0, 0])
    found = focal_uncertainty(model)
    assert found is not None
    assert found.residual_px == pytest.approx(np.sqrt(variance), rel=1e-6)
    assert found.relative == pytest.approx(expected, rel=0.05), "the lens bends the slopes a little"


def test_going_forward_tells_little_of_the_lens() -> None:
    forward, sideways = focal_uncertainty(street(True)), focal_uncertainty(street(False))
    assert forward is not None and sideways is not None
    assert forward.relative > 3 * sideways.relative
    tiny = street(False, views=2, points=25)
    assert focal_uncertainty(tiny) is None, "fewer observations than unknowns"


@pytest.mark.parametrize(("forward", "as_well"), [(True, True), (False, False)])
def test_another_focal_length_fits_as_well_only_where_nothing_decides(
    forward: bool, as_well: bool, tmp_path: Path
) -> None:
    write_model(tmp_path / "model", street(forward))
    child = ColmapChild(tmp_path / "work", tmp_path / "colmap.log", NullProgress(), time.monotonic() + 120)
    child.work.mkdir()
    job: dict[str, Any] = {"task": "hold_focal", "model": str(tmp_path / "model"), "output": str(tmp_path / "held")}
    result = child.run({**job, "focals": {1: 540.0}})
    assert result["registered"] == 8
    assert (result["held_px"] <= AS_WELL * result["free_px"]) == as_well, result
    assert read_model(tmp_path / "held").cameras[1].params[0] == 540.0


def test_what_is_said_of_the_focal_length() -> None:
    def failing(evidence: FocalEvidence) -> list[str]:
        return [gate.name for gate in evidence.gates if not gate.passed]

    assert failing(FocalEvidence(500.0, deviation=0.001)) == []
    assert failing(FocalEvidence(500.0, deviation=0.02)) == ["focal_certain"]
    assert failing(FocalEvidence(500.0, exif_px=505.0, deviation=0.02)) == [], "EXIF says the same"
    assert failing(FocalEvidence(500.0, exif_px=700.0, deviation=0.001)) == ["focal_exif"]
    assert failing(FocalEvidence(500.0, exif_px=700.0, held=True)) == []
    assert FocalEvidence(500.0).gates == [], "a lens that came with the capture is not judged"
    (gate,) = [gate for gate in FocalEvidence(500.0, deviation=0.02).gates if not gate.passed]
    assert "16 % only" in gate.message and "sideways" in gate.advice


def test_an_exif_that_the_pictures_contradict_is_told_and_not_believed(tmp_path: Path) -> None:
    room = RoomCorner()
    pictures = [room.render(*room.camera(angle)) for angle in np.linspace(-0.35, 0.35, 10)]
    keyframes = write_keyframes(tmp_path / "keyframes", pictures, focal=1.25 * room.focal)
    poses = estimate_poses(keyframes, PoseSettings(threads=2, features=1200), tmp_path / "poses")
    assert poses.metrics["focal_px"] == pytest.approx(room.focal, rel=0.02)
    assert poses.metrics["focal_held_to_exif"] is False and poses.metrics["focal_exif_px"] == 500.0
    assert "focal_exif" in [gate.name for gate in poses.verdict.warnings]
