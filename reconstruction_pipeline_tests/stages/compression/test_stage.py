"""The stage on a small scene with photographs made by the renderer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts import CameraPoses, GaussianSplats
from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, PosedImage, rotation_of, write_model
from reconstruction_pipeline.artifacts.errors import Cancelled
from reconstruction_pipeline.artifacts.ply import write_ply
from reconstruction_pipeline.artifacts.progress import NullProgress, RecordingProgress
from reconstruction_pipeline.artifacts.views import pinhole_view, spread
from reconstruction_pipeline.orchestration.gates import COMPRESSED_SPLATS
from reconstruction_pipeline.stages.compression.codecs import read_splats
from reconstruction_pipeline.stages.compression.fidelity import look_at, off_path_views, renderer
from reconstruction_pipeline.stages.compression.gates import decode_gate
from reconstruction_pipeline.stages.compression.settings import CompressionSettings
from reconstruction_pipeline.stages.compression.stage import compress_splats
from reconstruction_pipeline.viewer.vendor import COMMAND, VENDOR
from reconstruction_pipeline_tests.stages.compression.scenes import random_scene

needs_viewer = pytest.mark.skipif(not VENDOR.is_dir(), reason=f"'{COMMAND}' has not run")
# Every splat of the made scene is true, so none may be taken away here; `test_clean` is about that.
SETTINGS = CompressionSettings(title="Test", kmeans_iterations=3, clean=False)


def orbit(count: int = 9) -> ColmapModel:
    images = []
    for index, yaw in enumerate(np.linspace(-0.5, 0.5, count)):
        quaternion = (float(np.cos(yaw / 2)), 0.0, float(np.sin(yaw / 2)), 0.0)
        images.append(
            PosedImage(
                f"{index:03d}.png",
                1,
                quaternion,
                rotation_of(quaternion),
                np.array([0.0, 0.0, 9.0]),
                np.zeros((20, 2)),
                np.arange(20),
            )
        )
    rng = np.random.default_rng(0)
    return ColmapModel(
        {1: Camera("PINHOLE", 160, 120, (150.0, 150.0, 80.0, 60.0))},
        tuple(images),
        rng.normal(size=(20, 3)),
        np.full((20, 3), 100, np.uint8),
        np.zeros(20),
        np.full(20, count),
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[GaussianSplats, CameraPoses]:
    """A scene and its cameras; the photographs are renders with noise, about 26 dB from the scene."""
    splats, poses = tmp_path_factory.mktemp("splats"), tmp_path_factory.mktemp("poses")
    scene, model = random_scene(3000), orbit()
    write_ply(splats / "scene.ply", scene)
    write_model(poses / "sparse" / "0", model)
    (poses / "images").mkdir()
    render, rng = renderer(scene, 0.1), np.random.default_rng(1)
    for image in model.images:
        picture = render(pinhole_view(model, image)) + rng.normal(0, 0.05, (120, 160, 3))
        Image.fromarray((picture.clip(0, 1) * 255).astype(np.uint8)).save(poses / "images" / image.name)
    return GaussianSplats(splats), CameraPoses(poses)


@needs_viewer
def test_stage_writes_decodes_and_measures(inputs: tuple[GaussianSplats, CameraPoses], tmp_path: Path) -> None:
    progress = RecordingProgress()
    result = compress_splats(*inputs, replace(SETTINGS, stream_above=2000, stream_levels=3), tmp_path, progress)
    result.validate()
    metrics = result.metrics
    assert metrics["count"] == metrics["trained_count"] == read_splats(tmp_path / "scene.sog").count == 3000
    assert metrics["sog_bytes"] == (tmp_path / "scene.sog").stat().st_size
    assert metrics["sog_ratio"] == pytest.approx(metrics["ply_bytes"] / metrics["sog_bytes"], abs=0.01)
    assert metrics["measured_views"] == 2  # images 0 and 8 of nine
    assert 0 < metrics["sog_psnr_loss_db"] < 0.3
    assert metrics["sog_psnr_vs_ply_db"] > 35 and metrics["sog_psnr_vs_ply_off_path_db"] > 35
    for name in ("spz", "glb"):
        assert metrics[f"{name}_bytes"] == (tmp_path / f"scene.{name}").stat().st_size
        assert read_splats(tmp_path / f"scene.{name}").count == 3000
    assert abs(metrics["glb_psnr_loss_db"]) < 0.01 and metrics["spz_psnr_loss_db"] < 0.3
    assert metrics["fallback_level"] == 0
    # Three thousand splats are many here.
    assert metrics["streamed_levels"] == 3 and metrics["streamed_coarsest_count"] == 750
    assert metrics["streamed_psnr_loss_db"] < 0.3 and metrics["streamed_worst_level_db"] > 15
    assert 0 < metrics["streamed_coarsest_bytes"] < 0.5 * metrics["streamed_bytes"]
    assert [read_splats(tmp_path / "streamed" / "lod-meta.json", n).count for n in range(3)] == [3000, 1500, 750]
    assert (tmp_path / "streamed" / "index.html").is_file()
    assert {gate.name for gate in result.verdict.gates} == {name for name, _ in COMPRESSED_SPLATS}
    assert {gate.name: gate.passed for gate in result.verdict.gates}["sog_psnr_loss_db"]
    assert result.verdict.ok
    assert [path.name for path in result.previews()] == ["off_path.jpg", "sog_vs_ply.jpg", "spz_vs_ply.jpg"]
    assert all(path.stat().st_size < 60_000 for path in result.previews())
    done = [report[1] for report in progress.reports]
    assert done == sorted(done) and done[-1] == 1.0


@needs_viewer
def test_a_file_that_loses_too_much_only_warns(inputs: tuple[GaussianSplats, CameraPoses], tmp_path: Path) -> None:
    poor = replace(SETTINGS, palette=1, price=1e-4, max_loss_db=0.1, min_ratio=1000.0)
    result = compress_splats(*inputs, poor, tmp_path, NullProgress())
    assert {gate.name for gate in result.verdict.warnings} == {"sog_psnr_loss_db", "sog_ratio"}
    assert result.verdict.ok
    assert result.metrics["sog_psnr_loss_db"] > 0.1
    assert result.metrics["sog_price"] == poor.price  # what was asked for is not changed


@needs_viewer
def test_a_lossy_file_gets_more_bytes_while_the_ratio_permits(
    inputs: tuple[GaussianSplats, CameraPoses], tmp_path: Path
) -> None:
    cheap = replace(SETTINGS, price=2e-3, max_loss_db=10.0)
    first = compress_splats(*inputs, cheap, tmp_path, NullProgress()).metrics
    # Tighter than what the first price gives.
    tight = replace(cheap, max_loss_db=first["sog_psnr_loss_db"] * 1.5, min_ratio=2.0)
    second = compress_splats(*inputs, tight, tmp_path, NullProgress()).metrics
    assert second["sog_price"] < first["sog_price"] == cheap.price
    assert second["sog_psnr_loss_db"] < first["sog_psnr_loss_db"]
    assert second["sog_bytes"] > first["sog_bytes"]
    no_room = replace(tight, min_ratio=first["sog_ratio"])
    assert compress_splats(*inputs, no_room, tmp_path, NullProgress()).metrics["sog_price"] == cheap.price


@needs_viewer
def test_cancelling_stops_the_stage(inputs: tuple[GaussianSplats, CameraPoses], tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        compress_splats(*inputs, SETTINGS, tmp_path, RecordingProgress(cancel_after=3))
    assert not (tmp_path / "viewer.html").exists()


def test_decode_gate_fails_for_a_file_that_does_not_decode() -> None:
    assert decode_gate("spz", 10, 10).passed
    assert not decode_gate("spz", 10, 9).passed
    gate = decode_gate("spz", 10, None, "broken.")
    assert gate.name == "spz_decodes"
    assert not gate.passed and "broken" in gate.message


def test_off_path_views_leave_the_path_and_look_at_the_same_point() -> None:
    model = orbit()
    views = off_path_views(model, np.full(9, 9.0), [0, 4, 8])
    for view, index in zip(views, (0, 4, 8), strict=True):
        image = model.images[index]
        focus = image.rotation.T @ (np.array([0.0, 0.0, 9.0]) - image.translation)
        x, y, z = view.rotation @ focus + view.translation
        np.testing.assert_allclose([x, y], 0, atol=1e-9)
        assert np.linalg.norm(view.center - image.center) == pytest.approx(0.15 * 9.0)
        assert z == pytest.approx(9.0 * np.hypot(1, 0.15))
        np.testing.assert_allclose(view.rotation @ view.rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(view.rotation) == pytest.approx(1.0)


def test_look_at_of_the_own_axis_is_no_turn() -> None:
    np.testing.assert_allclose(look_at(np.zeros(3), np.array([0.0, 0.0, 2.0])), np.eye(3), atol=1e-12)


def test_spread_takes_the_first_and_no_more_than_asked() -> None:
    assert spread(range(0, 50, 8), 16) == [0, 8, 16, 24, 32, 40, 48]
    chosen = spread(range(0, 1000, 8), 16)
    assert len(chosen) == 16 and chosen[0] == 0 and chosen[-1] == 992
