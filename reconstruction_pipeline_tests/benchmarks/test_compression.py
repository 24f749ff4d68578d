"""The benchmark of compression, as far as it goes in seconds."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import compression
from reconstruction_pipeline.artifacts.colmap import write_model
from reconstruction_pipeline.artifacts.ply import write_ply
from reconstruction_pipeline.stages.compression import read_splats
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
