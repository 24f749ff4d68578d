"""Clean-up on a wall with planted faults: each rule finds its own, and the wall stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts import CameraPoses, GaussianSplats
from reconstruction_pipeline.artifacts.colmap import write_model
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import write_ply
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.artifacts.views import pinhole_view
from reconstruction_pipeline.stages.compression.clean import clean
from reconstruction_pipeline.stages.compression.codecs import read_splats
from reconstruction_pipeline.stages.compression.fidelity import renderer
from reconstruction_pipeline.stages.compression.settings import CompressionSettings
from reconstruction_pipeline.stages.compression.stage import compress_splats
from reconstruction_pipeline.viewer.vendor import COMMAND, VENDOR
from reconstruction_pipeline_tests.stages.compression.test_stage import orbit

SETTINGS = CompressionSettings(measure_size_px=160)
FLOATERS, FAINT = 6, 5


def wall() -> Gaussians:
    """An opaque, speckled wall that the orbit looks at, from 9 units away."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(-9, 9, 60), np.linspace(-6, 6, 40))
    count = x.size
    means = np.stack([x.ravel(), y.ravel(), 0.02 * rng.normal(size=count)], axis=1)
    sh = np.zeros((count, 16, 3))
    sh[:, 0] = rng.normal(size=(count, 3))
    return scene_of(means, np.tile(np.log([0.2, 0.2, 0.02]), (count, 1)), np.full(count, 4.0), sh)


def scene_of(means: np.ndarray, log_scales: np.ndarray, logits: np.ndarray, sh: np.ndarray) -> Gaussians:
    quats = np.tile([1.0, 0.0, 0.0, 0.0], (len(means), 1))
    return Gaussians(*(np.asarray(table, np.float32) for table in (means, log_scales, quats, logits, sh)))


def faults() -> Gaussians:
    """Faint specks in front of the wall, splats that no renderer draws, and one haze at the cameras."""
    rng = np.random.default_rng(1)
    floating = np.stack([*rng.uniform(-0.8, 0.8, (2, FLOATERS)), np.full(FLOATERS, -4.5)], axis=1)
    means = np.concatenate([floating, rng.normal(size=(FAINT, 3)), [[0.0, 0.0, -8.0]]])
    scales = np.full((len(means), 3), np.log(0.04))
    scales[-1] = np.log(2.0)
    logits = np.concatenate([np.full(FLOATERS, -1.0), np.full(FAINT, -9.0), [-5.2]])
    sh = np.zeros((len(means), 16, 3))
    sh[:FLOATERS, 0] = 3.0
    return scene_of(means, scales, logits, sh)


def together(a: Gaussians, b: Gaussians) -> Gaussians:
    return Gaussians(*(np.concatenate([x, y]) for x, y in zip(vars(a).values(), vars(b).values(), strict=True)))


@pytest.fixture(scope="module")
def poses(tmp_path_factory: pytest.TempPathFactory) -> CameraPoses:
    """Photographs of the wall alone."""
    folder, model = tmp_path_factory.mktemp("poses"), orbit()
    write_model(folder / "sparse" / "0", model)
    (folder / "images").mkdir()
    render, rng = renderer(wall(), 0.1), np.random.default_rng(2)
    for image in model.images:
        picture = (render(pinhole_view(model, image)) + rng.normal(0, 0.03, (120, 160, 3))).clip(0, 1)
        Image.fromarray((picture * 255).astype(np.uint8)).save(folder / "images" / image.name)
    return CameraPoses(folder)


def test_each_rule_finds_its_own_and_the_wall_stays(poses: CameraPoses) -> None:
    good, bad = wall(), faults()
    result = clean(together(good, bad), poses, SETTINGS, lambda done, total: None)
    assert result.removed["floating"] == FLOATERS
    assert result.removed["huge"] == 1
    assert result.removed["faint"] == FAINT
    kept = {tuple(mean) for mean in result.scene.means}
    assert not kept & {tuple(mean) for mean in bad.means}
    # What else may go is wall that no camera sees.
    x = good.means[[tuple(mean) not in kept for mean in good.means]]
    assert (np.abs(x[:, 0]) > 4.0).sum() + (np.abs(x[:, 1]) > 3.0).sum() >= len(x)


def test_a_clean_scene_keeps_what_the_photographs_show(poses: CameraPoses) -> None:
    good = wall()
    result = clean(good, poses, SETTINGS, lambda done, total: None)
    view = pinhole_view(poses.model(), poses.model().images[4])
    np.testing.assert_allclose(renderer(result.scene, 0.1)(view), renderer(good, 0.1)(view), atol=0.02)


def test_what_the_photographs_would_miss_stays(poses: CameraPoses) -> None:
    """Something that really hangs in front of the wall is in the photographs, too: taking it away costs too much."""
    bad = faults()
    bad.opacity_logits[:] = 3.0
    bad.sh[:, 0] = 3.0
    full, model = together(wall(), bad), poses.model()
    render = renderer(full, 0.1)
    images = {image.name: render(pinhole_view(model, image)) for image in model.images}
    folder = poses.folder.parent / "with"
    write_model(folder / "sparse" / "0", model)
    (folder / "images").mkdir()
    for name, picture in images.items():
        Image.fromarray((picture * 255).astype(np.uint8)).save(folder / "images" / name)
    result = clean(full, CameraPoses(folder), SETTINGS, lambda done, total: None)
    assert result.removed["huge"] == 0 and result.found["huge"] == 1


@pytest.mark.skipif(not VENDOR.is_dir(), reason=f"'{COMMAND}' has not run")
def test_the_stage_delivers_the_clean_scene_and_says_what_it_cost(poses: CameraPoses, tmp_path: Path) -> None:
    (tmp_path / "splats").mkdir()
    scene = together(wall(), faults())
    write_ply(tmp_path / "splats" / "scene.ply", scene)
    result = compress_splats(GaussianSplats(tmp_path / "splats"), poses, SETTINGS, tmp_path / "out", NullProgress())
    metrics = result.metrics
    removed = sum(metrics[f"removed_{rule}"] for rule in ("faint", "invisible", "huge", "floating", "stray"))
    assert removed >= FLOATERS + FAINT + 1
    assert metrics["trained_count"] == scene.count == metrics["count"] + removed
    assert read_splats(tmp_path / "out" / "scene.sog").count == metrics["count"]
    # The photographs do not have the faults: without them the scene is truer.
    assert metrics["clean_psnr_cost_db"] < -0.1
