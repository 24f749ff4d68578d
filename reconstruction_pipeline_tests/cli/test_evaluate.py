"""`evaluate` on a project of exact poses and a scene made of its own points."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from reconstruction_pipeline.artifacts.colmap import read_model
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import read_ply, write_ply
from reconstruction_pipeline.stages.splats.initialisation import Points, initial_gaussians
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline_tests.analytic_scene import make_scene, write_poses
from reconstruction_pipeline_tests.cli.conftest import Cli
from reconstruction_pipeline_tests.stages.splats.lpips_weights import accept, write_weights


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "colmap"
    write_poses(folder, make_scene(count=7, width=96, height=72), points=2400)
    return folder


@pytest.fixture
def scene(project: Path, storage: Path, tmp_path: Path) -> Path:
    """The project's points as splats; places of this test's own in the environment."""
    model = read_model(project / "sparse" / "0")
    write_ply(tmp_path / "scene.ply", initial_gaussians(Points(model.xyz, model.rgb), TrainSettings()), 0)
    return tmp_path / "scene.ply"


def strict(text: str) -> dict[str, Any]:
    """JSON as the standard has it: without NaN and infinities."""

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is no JSON")

    found = json.loads(text, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


def read(path: Path) -> npt.NDArray[np.float64]:
    image = cv2.imread(str(path))
    assert image is not None
    return image.astype(np.float64)


def test_out_gets_a_table_and_pictures_of_the_worst(cli: Cli, project: Path, scene: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "evaluation"
    done = cli("evaluate", scene, project, "--holdout", 0, "--out", out)
    assert done.code == 0, done.err
    found = strict(done.out)
    ranked = sorted(found["views"], key=lambda row: row["psnr"])
    assert len(ranked) == 7 and found["worst"] == [row["name"] for row in ranked[:5]]
    assert found["lpips"] is None and all(row["lpips"] is None for row in ranked)
    pictures = [
        f"worst_{rank}_{row['psnr']:.2f}dB_{Path(row['name']).stem}.jpg" for rank, row in enumerate(ranked[:5], start=1)
    ]
    assert sorted(path.name for path in out.iterdir()) == ["evaluation.csv", *pictures]
    with (out / "evaluation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], float(row["psnr"]), row["lpips"]) for row in rows] == [
        (row["name"], row["psnr"], "") for row in found["views"]
    ]
    worst = read(out / pictures[0])
    photo = read(project / "images" / found["worst"][0])
    assert worst.shape == (72, 3 * 96, 3)
    assert np.abs(worst[:, :96] - photo).mean() < 6  # JPEG
    assert 10 * np.log10(255**2 / np.mean((worst[:, 96:192] - photo) ** 2)) == pytest.approx(ranked[0]["psnr"], abs=1.0)
    assert strict(cli("evaluate", scene, project, "--holdout", 0).out) == found


def test_lpips_is_measured_where_its_weights_are(
    cli: Cli, project: Path, scene: Path, storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONSTRUCTION_WEIGHTS", str(tmp_path / "models"))
    absent = next(line for line in cli("doctor").out.splitlines() if " LPIPS " in line)
    assert absent.startswith("absent") and str(tmp_path / "models" / "lpips") in absent
    write_weights(tmp_path / "models")
    done = cli("evaluate", scene, project)
    assert done.code == 3 and "alexnet-owt-7be5be79.pth: its SHA-256" in done.error
    assert any(line.startswith("absent  LPIPS") and "SHA-256" in line for line in cli("doctor").out.splitlines())

    accept(tmp_path / "models", monkeypatch)
    assert any(line.startswith("ok      LPIPS") for line in cli("doctor").out.splitlines())
    found = strict(cli("evaluate", scene, project, "--holdout", 3, "--out", tmp_path / "out").out)
    values = [row["lpips"] for row in found["views"]]
    assert len(values) == 3 and min(values) > 0 and found["lpips"] == pytest.approx(np.mean(values))
    with (tmp_path / "out" / "evaluation.csv").open() as file:
        assert [float(row["lpips"]) for row in csv.DictReader(file)] == values
    small = strict(cli("evaluate", scene, project, "--max-size", 36).out)
    assert small["lpips"] is None and small["psnr"] > 5


@pytest.mark.parametrize(("value", "names", "bad"), [(np.nan, (), 5), (np.inf, ("sh",), None)])
def test_splats_that_are_no_numbers_are_said(
    cli: Cli, project: Path, scene: Path, tmp_path: Path, value: float, names: tuple[str, ...], bad: int | None
) -> None:
    write_ply(tmp_path / "broken.ply", with_value(scene, value, *names), 0)
    done = cli("evaluate", tmp_path / "broken.ply", project)
    count = read_ply(scene).count
    assert (done.code, done.out) == (3, "")
    assert f"broken.ply: {bad or -(-count // 10)} of its {count} splats have numbers that are not finite" in done.error


def with_value(scene: Path, value: float, *names: str) -> Gaussians:
    """The scene with `value` in one splat for each of its parameters, or in every tenth for the named."""
    gaussians = read_ply(scene)
    parts = {name: getattr(gaussians, name).copy() for name in ("means", "log_scales", "quats", "opacity_logits", "sh")}
    for row, (name, part) in enumerate(parts.items()):
        if name in names:
            part[::10] = value
        elif not names:
            part[row] = value
    return Gaussians(**parts)


def test_a_scene_that_no_camera_sees_is_said(cli: Cli, project: Path, scene: Path, tmp_path: Path) -> None:
    gaussians = read_ply(scene)
    write_ply(tmp_path / "far.ply", replace(gaussians, means=np.full_like(gaussians.means, 1e12)), 0)
    write_ply(tmp_path / "empty.ply", gaussians.take(np.zeros(gaussians.count, bool)), 0)
    for name, words in (("far.ply", "in front of any camera"), ("empty.ply", "there is no splat in it")):
        done = cli("evaluate", tmp_path / name, project)
        assert done.code == 3 and done.out == "", done.err
        assert words in done.error


def test_masks_that_leave_nothing_are_said(cli: Cli, project: Path, scene: Path, tmp_path: Path) -> None:
    masked = tmp_path / "masked"
    shutil.copytree(project, masked)
    (masked / "masks").mkdir()
    for picture in (masked / "images").iterdir():
        cv2.imwrite(str(masked / "masks" / f"{picture.name}.png"), np.zeros((72, 96), np.uint8))
    done = cli("evaluate", scene, masked)
    assert (done.code, done.out) == (2, "")
    assert "the masks leave nothing to evaluate" in done.error
