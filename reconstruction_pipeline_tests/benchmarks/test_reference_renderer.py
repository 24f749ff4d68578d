"""Two renderers that share no code draw the same pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import reference_renderer
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import read_ply, write_ply
from reconstruction_pipeline.stages.splats.evaluate import renderer
from reconstruction_pipeline_tests.analytic_scene import make_scene, write_poses
from reconstruction_pipeline_tests.cli.conftest import Cli, cli  # noqa: F401

SCENE = make_scene(count=3, width=70, height=54)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project") / "colmap"
    write_poses(folder, SCENE, points=1200)
    return folder


def gaussians(degree: int, seed: int = 5, count: int = 3000) -> Gaussians:
    """Of all shapes, sizes, opacities and colours; in front of the cameras, beside and behind them."""
    rng = np.random.default_rng(seed)
    sh = rng.normal(0.0, 0.15, (count, 16, 3))
    sh[:, (degree + 1) ** 2 :] = 0.0
    # Bright enough that nothing is clamped at the top, where different pictures would look the same.
    sh[:, 0] = rng.uniform(-1.7, 0.6, (count, 3))
    means = rng.uniform((-2.5, -1.5, -1.0), (2.0, 1.5, 5.0), (count, 3))
    log_scales = np.log(rng.uniform(0.005, 0.12, (count, 3)))
    tables = means, log_scales, rng.normal(size=(count, 4)), rng.normal(0.0, 3.0, count), sh
    return Gaussians(*(table.astype(np.float32) for table in tables))


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_every_pixel_agrees_with_the_kernels(project: Path, tmp_path: Path, degree: int) -> None:
    write_ply(tmp_path / "scene.ply", gaussians(degree), degree)
    ours = renderer(read_ply(tmp_path / "scene.ply"), SCENE.views)
    theirs = reference_renderer.read_splats(tmp_path / "scene.ply")
    cameras = reference_renderer.read_cameras(project)
    assert [camera.name for camera in cameras] == SCENE.names
    for camera, view in zip(cameras, SCENE.views, strict=True):
        # The kernels' near plane is 0.02 of the median depth; all else is the same.
        near = 0.02 * float(np.median(_seen_depths(theirs.means)))
        mine, other = ours(view), reference_renderer.render(theirs, camera, near)
        assert mine.std() > 0.06
        difference = np.abs(mine - other)
        # An alpha at the threshold may be drawn by one alone; a block of the kernels ends as a whole.
        assert difference.mean() < 5e-5 and difference.max() < 2.0 / 255.0


def _seen_depths(means: np.ndarray) -> np.ndarray:
    depths = []
    for view in SCENE.views:
        x, y, z = (means @ view.rotation.T + view.translation).T
        u, v = view.fx * x / z + view.cx, view.fy * y / z + view.cy
        depths.append(z[(z > 0) & (u >= 0) & (u < view.width) & (v >= 0) & (v < view.height)])
    return np.concatenate(depths)


def test_it_scores_as_the_command_does(cli: Cli, project: Path, tmp_path: Path) -> None:  # noqa: F811
    scene = tmp_path / "scene.ply"
    rng = np.random.default_rng(1)
    # The project's own points as splats: pictures near enough to the photos for a PSNR that means something.
    colours = np.concatenate([picture.reshape(-1, 3) for picture in SCENE.pictures]) / 255.0
    xyz = np.concatenate([_unproject(i) for i in range(len(SCENE.views))])
    sh = np.zeros((len(xyz), 16, 3), np.float32)
    sh[:, 0] = (colours - 0.5) / 0.2820948
    sh[:, 1:] = rng.normal(0, 0.01, sh[:, 1:].shape)
    log_scales = np.full((len(xyz), 3), np.log(0.02), np.float32)
    quats = rng.normal(size=(len(xyz), 4)).astype(np.float32)
    write_ply(scene, Gaussians(xyz.astype(np.float32), log_scales, quats, np.full(len(xyz), 1.0, np.float32), sh))
    for options, arguments in (((2, None), ["--holdout", 2]), ((0, 35), ["--holdout", 0, "--max-size", 35])):
        found = json.loads(cli("evaluate", scene, project, *arguments).out)
        scored = reference_renderer.score(scene, project, *options)
        assert found["psnr"] > 16.0
        assert scored["psnr"] == pytest.approx(found["psnr"], abs=0.05)
        assert [view["name"] for view in scored["views"]] == [view["name"] for view in found["views"]]


def _unproject(index: int) -> np.ndarray:
    view, depth = SCENE.views[index], SCENE.depths[index]
    u, v = np.meshgrid(np.arange(view.width) + 0.5, np.arange(view.height) + 0.5)
    rays = np.stack([(u - view.cx) / view.fx, (v - view.cy) / view.fy, np.ones_like(u)], -1) * depth[..., None]
    return (rays.reshape(-1, 3) - view.translation) @ view.rotation


def test_one_splat_is_what_the_equations_say() -> None:
    camera = reference_renderer.Camera("", np.eye(3), np.zeros(3), 40.0, 50.0, 16.5, 12.5, 33, 25)
    covariance = np.diag([0.04, 0.01, 0.09])[None]
    splats = reference_renderer.Splats(np.array([[0.0, 0, 2]]), covariance, np.array([0.8]), np.zeros((1, 1, 3)))
    image = reference_renderer.render(splats, camera)
    # Standard deviations in pixels: 20^2 * 0.04 + 0.3 across, 25^2 * 0.01 + 0.3 down; the colour is 0.5.
    assert image[12, 16] == pytest.approx(0.4)
    assert image[12, 20, 1] == pytest.approx(0.4 * np.exp(-16 / (2 * 16.3)))
    assert image[16, 16, 2] == pytest.approx(0.4 * np.exp(-16 / (2 * 6.55)))
    assert not image[0, 0].any()
