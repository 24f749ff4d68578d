"""`train`, `evaluate` and `render` on a little COLMAP project with exact poses; the training is real."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.artifacts.ply import read_ply
from reconstruction_pipeline_tests.analytic_scene import make_scene, write_poses
from reconstruction_pipeline_tests.cli.conftest import Cli

KEYS = ["psnr", "ssim", "count", "steps", "seconds", "peak_rss_mb", "device"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project") / "colmap"
    write_poses(folder, make_scene(count=9, width=96, height=72), points=2400)
    return folder


@pytest.fixture(scope="module")
def scene(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene trained as a user trains one, in a process of its own."""
    out = tmp_path_factory.mktemp("trained") / "new" / "scene.ply"
    done = train(project, out, "--steps", "120", "--holdout", "4")
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    assert list(line) == KEYS
    assert line["steps"] == 120 and line["device"] == "cpu"
    assert line["count"] == read_ply(out).count
    assert line["psnr"] > 15 and 0 < line["ssim"] < 1
    assert 50 < line["peak_rss_mb"] < 4000
    assert "training: 100 %" in done.stderr
    assert [path.name for path in out.parent.iterdir()] == ["scene.ply"]
    return out


def command(project: Path, out: Path, *options: str) -> list[str]:
    arguments = ["train", str(project), "--out", str(out), "--max-splats", "4000", "--device", "cpu", *options]
    return [sys.executable, "-m", "reconstruction_pipeline.cli", *arguments]


def train(project: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(project, out, *options), capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_evaluate_measures_what_training_measured(cli: Cli, project: Path, scene: Path) -> None:
    done = cli("evaluate", scene, project, "--holdout", 4)
    assert done.code == 0
    found = json.loads(done.out)
    assert [row["name"] for row in found["views"]] == ["view_00.png", "view_04.png", "view_08.png"]
    assert found["psnr"] == pytest.approx(np.mean([row["psnr"] for row in found["views"]]))
    assert 15 < found["psnr"] < 50
    everything = json.loads(cli("evaluate", scene, project, "--holdout", 0).out)
    assert len(everything["views"]) == 9


@pytest.mark.slow
def test_render_draws_every_view(cli: Cli, project: Path, scene: Path, tmp_path: Path) -> None:
    done = cli("render", scene, project, "--out", tmp_path / "pictures", "--max-size", 48)
    assert done.code == 0
    pictures = sorted((tmp_path / "pictures").iterdir())
    assert [path.name for path in pictures] == [f"view_{i:02d}.png" for i in range(9)]
    for path in pictures:
        picture = cv2.imread(str(path))
        photo = cv2.resize(cv2.imread(str(project / "images" / path.name)), (48, 36), interpolation=cv2.INTER_AREA)
        assert picture.shape == (36, 48, 3)
        assert np.abs(picture.astype(float) - photo).mean() < 40


@pytest.mark.slow
def test_the_same_seed_gives_the_same_scene(project: Path, tmp_path: Path) -> None:
    for name in ("a.ply", "b.ply"):
        assert train(project, tmp_path / name, "--steps", "20", "--seed", "3").returncode == 0
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()


@pytest.mark.slow
def test_ctrl_c_writes_nothing_and_resume_goes_on(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "scene.ply"
    options = ("--steps", "6000", "--seed", "1")
    running = subprocess.Popen(
        command(project, out, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert running.stderr
    seen: list[str] = []
    for line in running.stderr:
        seen.append(line)
        if line.startswith("training:"):
            break
    running.send_signal(signal.SIGINT)
    printed, rest = running.communicate(timeout=120)
    assert running.returncode == 130, "".join(seen) + rest
    error = rest.rstrip().splitlines()[-1]
    assert error.startswith(f"error: {out}: ") and "--resume" in error and "Traceback" not in rest
    assert printed == ""
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir()] == [".scene.ply.checkpoint"]

    resumed = train(project, out, *options, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    shares = [line for line in resumed.stderr.splitlines() if line.startswith("training:")]
    assert int(shares[0].split()[1]) > 0
    assert json.loads(resumed.stdout)["steps"] == 6000
    assert [path.name for path in tmp_path.iterdir()] == ["scene.ply"]


def test_a_damaged_model_is_said(cli: Cli, project: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(project, broken)
    images = broken / "sparse" / "0" / "images.bin"
    images.write_bytes(images.read_bytes()[:100])
    done = cli("train", broken, "--out", tmp_path / "scene.ply")
    assert done.code == 3
    assert f"{images.parent}: the COLMAP model is damaged" in done.error
    assert not (tmp_path / "scene.ply").exists()


def test_a_missing_picture_is_named(cli: Cli, project: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(project, broken)
    (broken / "images" / "view_03.png").unlink()
    done = cli("train", broken, "--out", tmp_path / "scene.ply", "--steps", 5, "--device", "cpu")
    assert done.code == 3
    assert "view_03.png" in done.error


@pytest.mark.parametrize("name", ["evaluate", "render"])
def test_a_missing_scene_is_said(cli: Cli, project: Path, tmp_path: Path, name: str) -> None:
    options = ["--out", tmp_path / "out"] if name == "render" else []
    done = cli(name, tmp_path / "none.ply", project, *options)
    assert (done.code, "none.ply: there is no such file" in done.error) == (2, True)


def test_cuda_without_its_parts_is_said_at_once(cli: Cli, project: Path, tmp_path: Path) -> None:
    done = cli("train", project, "--out", tmp_path / "scene.ply", "--device", "cuda")
    assert done.code == 4
    assert "CUDA" in done.error


def test_a_gpu_that_was_not_used_is_said(
    cli: Cli, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconstruction_pipeline.stages.splats.devices import choose

    monkeypatch.setattr(choose, "cuda_available", lambda: True)
    monkeypatch.setattr(choose, "cuda_obstacle", lambda: "Some GPU is too old: use a newer one")
    done = cli("train", project, "--out", tmp_path / "scene.ply", "--steps", 3, "--max-splats", 1000)
    assert done.code == 0 and json.loads(done.out.splitlines()[-1])["device"] == "cpu"
    assert "warning: trained on the CPU: Some GPU is too old: use a newer one." in done.err
    refused = cli("train", project, "--out", tmp_path / "scene.ply", "--device", "cuda")
    assert refused.code == 4 and "or use --device cpu" in refused.err


def test_without_a_budget_training_is_a_minute_or_thirty_thousand_steps_on_cuda(
    cli: Cli, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconstruction_pipeline.artifacts.errors import StageFailed
    from reconstruction_pipeline.stages.splats import scene as scenes
    from reconstruction_pipeline.stages.splats.recipes import cuda_cap, resolved

    asked = []

    def remember(views, points, settings, *rest):  # type: ignore[no-untyped-def]
        asked.append([resolved(settings, device) for device in ("cpu", "cuda")])
        raise StageFailed("enough seen.")

    monkeypatch.setattr(scenes, "train_scene", remember)
    for options in ((), ("--steps", 7_000), ("--seconds", 20, "--max-splats", 5_000)):
        assert cli("train", project, "--out", tmp_path / "scene.ply", *options).code == 3
    budgets = [[(row.steps, row.seconds, row.max_splats) for row in pair] for pair in asked]
    assert budgets == [
        [(None, 60.0, None), (30_000, None, 1_000_000)],
        [(7_000, None, None), (7_000, None, cuda_cap(7_000))],
        [(None, 20.0, 5_000), (None, 20.0, 5_000)],
    ]
