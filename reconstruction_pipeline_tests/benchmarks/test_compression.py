"""The benchmark of compression, as far as it goes in seconds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import compression
from reconstruction_pipeline.artifacts.colmap import write_model
from reconstruction_pipeline.artifacts.ply import write_ply
from reconstruction_pipeline.stages.compression.codecs import read_splats
from reconstruction_pipeline_tests.stages.compression.scenes import random_scene
from reconstruction_pipeline_tests.stages.compression.test_stage import orbit


def test_writing_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    write_ply(tmp_path / "scene.ply", random_scene(300))
    write_model(tmp_path / "sparse" / "0", orbit())
    used = compression._write(tmp_path / "scene.ply", tmp_path / "scene.sog", tmp_path, 1.0)
    assert used["cpu"] > 0 and used["wall"] > 0 and used["mb"] > 50
    assert read_splats(tmp_path / "scene.sog").count == 300


def test_the_reference_s_process_is_timed_alone() -> None:
    work = "x = bytearray(60_000_000)\nsum(range(3_000_000))"
    used = compression._timed([sys.executable, "-c", work])
    assert used["cpu"] > 0.01 and used["mb"] > 60


def test_every_promise_is_said_to_hold_or_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The table at the end, from made figures: what is measured is tested above and elsewhere."""

    def row(name: str, writer: str, *rest: object) -> compression.Row:
        if "100,000" in name:
            return compression.Row(1_500_000, 16.5, 50.0, 0.03, 9.0, 5.0, 600.0)
        ours = writer.startswith("ours")
        return compression.Row(
            *((500, 9.0, 57.0, 0.0, 2.0, 1.0, 250.0) if ours else (800, 6.0, 54.0, 0.0, 18.0, 18.0, 250.0))
        )

    for name, stand_in in {
        "_row": row,
        "_tool": lambda cache: Path("tool"),
        "_trained": lambda *given: Path("scene.ply"),
        "_write": lambda *given: {},
        "_timed": lambda *given: {},
        "_levels": lambda *given: None,
    }.items():
        monkeypatch.setattr(compression, name, stand_in)
    monkeypatch.setattr(compression.projects, "fox_480", lambda: tmp_path)
    monkeypatch.setattr(compression.projects, "project", lambda name, cache: None)
    compression.main(compression.Options(cache=tmp_path))
    printed = capsys.readouterr().out
    assert "| fox_480: 10 times faster | 18.0 times (9.0 in CPU seconds) | holds |" in printed
    assert "| fox_480: no larger | 500, 800 | holds |" in printed
    assert "| 100,000 splats: at most 500 MB | 600 MB | falls short |" in printed
    assert printed.count("| holds |") == 6 and printed.count("falls short") == 1
