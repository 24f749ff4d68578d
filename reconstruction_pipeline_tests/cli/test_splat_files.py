from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.ply import read_ply, write_ply
from reconstruction_pipeline_tests.cli.conftest import Cli
from reconstruction_pipeline_tests.stages.compression.scenes import match, random_scene


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    write_ply(tmp_path / "scene.ply", random_scene(500))
    return tmp_path / "scene.ply"


def test_there_and_back(cli: Cli, scene: Path, tmp_path: Path) -> None:
    there = cli("convert", scene, tmp_path / "scene.sog")
    assert there.code == 0
    assert "500 splats" in there.out and "times smaller" in there.out
    assert cli("convert", tmp_path / "scene.sog", tmp_path / "back.ply").code == 0
    before, after = read_ply(scene), read_ply(tmp_path / "back.ply")
    np.testing.assert_allclose(after.means[match(before, after)], before.means, atol=0.01)


def test_options_reach_the_conversion(cli: Cli, scene: Path, tmp_path: Path) -> None:
    options = ("--max-splats", 100, "--sh", 0, "--rotate", "0,90,0", "--crop", "-9,-9,-9,9,9,9")
    assert cli("convert", scene, tmp_path / "small.ply", *options).code == 0
    assert read_ply(tmp_path / "small.ply").count == 100


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [("missing.ply", 2, "missing.ply"), ("letter.ply", 3, "letter.ply"), ("letter.txt", 2, ".sog")],
)
def test_what_cannot_be_read(cli: Cli, tmp_path: Path, name: str, code: int, says: str) -> None:
    if "letter" in name:
        (tmp_path / name).write_text("I am a letter.")
    done = cli("convert", tmp_path / name, tmp_path / "out.sog")
    assert done.code == code
    assert says in done.error
    assert not (tmp_path / "out.sog").exists()


def test_a_cut_off_file_is_damaged(cli: Cli, scene: Path, tmp_path: Path) -> None:
    scene.write_bytes(scene.read_bytes()[:-1000])
    done = cli("convert", scene, tmp_path / "out.sog")
    assert done.code == 3
    assert "scene.ply" in done.error
    assert not (tmp_path / "out.sog").exists()


def test_numbers_must_be_numbers(cli: Cli, scene: Path, tmp_path: Path) -> None:
    done = cli("convert", scene, tmp_path / "out.ply", "--crop", "1,2,three,4,5,6")
    assert (done.code, "--crop" in done.error) == (2, True)


def test_every_format_by_its_name(cli: Cli, scene: Path, tmp_path: Path) -> None:
    before = scene
    for name in ("a.spz", "b.glb", "c.compressed.ply", "d.splat"):
        done = cli("convert", before, tmp_path / name)
        assert (done.code, "500 splats" in done.out) == (0, True)
        assert ("View-dependent colour is left out" in done.out) == (name == "d.splat")
        before = tmp_path / name
    assert cli("convert", scene, tmp_path / "four.spz", "--spz-version", 4).code == 0
    assert (tmp_path / "four.spz").read_bytes()[:8] == b"NGSP\x04\0\0\0"
    assert cli("convert", scene, tmp_path / "five.spz", "--spz-version", 5).code == 2
    done = cli("convert", scene, tmp_path / "scene.ksplat")
    assert done.code == 2 and "no longer developed" in done.error
