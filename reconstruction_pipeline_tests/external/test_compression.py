"""Small files by another program, through our reader, renders and gates; with PlayCanvas' own converter for real."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts import CameraPoses, CompressedSplats, GaussianSplats
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.external.descriptor import Program
from reconstruction_pipeline.external.loading import shipped_programs
from reconstruction_pipeline.external.stage import ExternalStage
from reconstruction_pipeline.orchestration.gates import COMPRESSED_SPLATS
from reconstruction_pipeline.stages.compression.codecs import write_splats
from reconstruction_pipeline.stages.compression.settings import CompressionSettings
from reconstruction_pipeline.stages.compression.stage import compress_splats
from reconstruction_pipeline.viewer.vendor import COMMAND, VENDOR
from reconstruction_pipeline_tests import readers
from reconstruction_pipeline_tests.external.programs import program
from reconstruction_pipeline_tests.external.scene import HOLDOUT

pytestmark = pytest.mark.skipif(not VENDOR.is_dir(), reason=f"'{COMMAND}' has not run")
SETTINGS = CompressionSettings(holdout=HOLDOUT, clean=False, also=(), measure_size_px=160, off_path_views=1)
SOG = {"stage": "compression", "reads": {"splats": "3dgs-ply"}, "writes": {"scene.sog": "sog"}}
SOG["environment"] = {"SPLATS": "{splats}"}


def compress(scene: tuple[GaussianSplats, CameraPoses], made: Program, folder: Path) -> CompressedSplats:
    stage = ExternalStage(made, failed_logs=str(folder / "failed"))
    return compress_splats(*scene, SETTINGS, folder / "workspace", NullProgress(), external=stage)


def test_a_file_of_another_program_is_measured_like_ours(
    scene: tuple[GaussianSplats, CameraPoses], tmp_path: Path
) -> None:
    splats, _ = scene
    write_splats(tmp_path / "theirs.sog", splats.gaussians())
    made = program("copy", str(tmp_path / "theirs.sog"), "scene.sog", **SOG)
    result = compress(scene, made, tmp_path)
    result.validate()
    metrics = result.metrics
    assert metrics["backend"] == "external-stand-in" and metrics["external_formats"] == ["sog"]
    assert metrics["sog_bytes"] == (tmp_path / "theirs.sog").stat().st_size
    passed = {gate.name: gate.passed for gate in result.verdict.gates}
    assert set(passed) <= {name for name, _ in COMPRESSED_SPLATS} and passed["sog_decodes"]
    assert metrics["sog_psnr_loss_db"] is not None and "started copy" in result.path("external.log").read_text()
    assert not result.path(".external").exists()


def test_what_does_not_decode_is_a_failure_and_too_few_splats_a_gate(
    scene: tuple[GaussianSplats, CameraPoses], tmp_path: Path
) -> None:
    garbage = {**SOG, "writes": {"scene.ply": "sog"}}
    with pytest.raises(StageFailed, match=r"left a \.sog that cannot be decoded \(.*\); its last lines: started"):
        compress(scene, program("garbage", **garbage), tmp_path / "garbage")
    splats, _ = scene
    write_splats(tmp_path / "few.sog", splats.gaussians().take(slice(0, 31)))  # type: ignore[arg-type]
    result = compress(scene, program("copy", str(tmp_path / "few.sog"), "scene.sog", **SOG), tmp_path)
    gates = {gate.name: gate for gate in result.verdict.gates}
    assert not gates["sog_decodes"].passed and "31 of" in gates["sog_decodes"].message
    assert not gates["sog_psnr_loss_db"].passed


@pytest.mark.slow
@pytest.mark.soak
def test_splat_transform_for_real(
    scene: tuple[GaussianSplats, CameraPoses], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = readers.install() / "node_modules" / ".bin"
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    made = shipped_programs()["splat-transform"]
    result = compress(scene, replace(made, time_limit_minutes=4), tmp_path)
    gates = {gate.name: gate for gate in result.verdict.gates}
    assert gates["sog_decodes"].passed and gates["sog_psnr_loss_db"].passed, result.verdict.to_json()
    assert result.metrics["backend"] == "external-splat-transform"
    assert result.metrics["external"]["licence"] == "MIT"
