"""External stages in Dagster runs: chosen in the launchpad or by the deployment, recorded, refused, kept as a log."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.external.descriptor import Program
from reconstruction_pipeline.external.loading import HERE, shipped_programs
from reconstruction_pipeline.orchestration.external import external_stage, fallback_poses, programs_of_run
from reconstruction_pipeline.orchestration.limits import MAX_SECONDS, limit_of_program, limit_seconds
from reconstruction_pipeline.orchestration.scene_run import _made_by
from reconstruction_pipeline.presets import preset_named
from reconstruction_pipeline.settings import load_settings
from reconstruction_pipeline_tests.orchestration.canned import Line


def test_a_run_hands_the_chosen_programs_to_their_stages_and_records_them(line: Line) -> None:
    own = line.storage.parent / "mine.toml"
    own.write_text((HERE / "splat-transform.toml").read_text().replace('name = "splat-transform"', 'name = "mine"'))
    assert line.run(external={"training": "reconstruct-train", "compressed_splats": str(own)}).success
    calls = {call.entry.split(":")[1]: call for call in line.stages.full_calls}
    assert calls["gaussian_splats"].options["external"].program == shipped_programs()["reconstruct-train"]
    assert calls["compress_splats"].options["external"].program.name == "mine"
    assert calls["gaussian_splats"].options["external"].failed_logs.endswith("logs/walk")
    assert not any("external" in calls[name].options for name in ("estimate_poses", "extract_mesh"))
    assert calls["gaussian_splats"].limit_s >= 600 * 60
    store = ArtifactStore(line.storage, line.storage.parent / "scratch")
    made_by = store.manifest("gaussian_splats", line.key).provenance.settings["external"]
    assert made_by["name"] == "reconstruct-train" and made_by["licence"] == "Apache-2.0"
    assert "external" not in store.manifest("mesh", line.key).provenance.settings
    digest = shipped_programs()["reconstruct-train"].digest
    assert (_made_by(store, "gaussian_splats", line.key), _made_by(store, "mesh", line.key)) == (digest, "")


def test_what_may_not_be_used_stops_its_stage_with_the_sentence(line: Line) -> None:
    assert not line.run(external={"training": "graphdeco-3dgs"}).success
    store = ArtifactStore(line.storage, line.storage.parent / "scratch")
    failure = store.failure("camera_poses", line.key)  # the first that could be external says it, before it costs
    assert failure and "does not allow commercial use" in failure.sentence and failure.exit_code == 2
    assert "estimate_poses" not in line.stages.calls
    assert line.run(external={"training": "graphdeco-3dgs"}, allow_noncommercial=True).success
    said = store.manifest("gaussian_splats", line.key).provenance.settings["external"]
    assert said["commercial_use"] is False and said["verified"] == "" and said["run_in"] == "container"


def test_a_deployment_chooses_and_a_run_may_take_it_back(
    storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "house.toml").write_text(
        (HERE / "reconstruct-train.toml").read_text().replace('"reconstruct-train"', '"house"')
    )
    monkeypatch.setenv("RECONSTRUCTION_PROGRAMS", str(tmp_path))
    monkeypatch.setenv("RECONSTRUCTION_EXTERNAL", "training=house compression=splat-transform")
    assert set(programs_of_run({}, False)) == {"gaussian_splats", "compressed_splats"}
    assert programs_of_run({}, False)["gaussian_splats"].name == "house"
    assert set(programs_of_run({"training": "ours"}, False)) == {"compressed_splats"}
    monkeypatch.setenv("RECONSTRUCTION_EXTERNAL", "training=dashgaussian")
    with pytest.raises(UsageError, match="commercial"):
        programs_of_run({}, False)
    monkeypatch.setenv("RECONSTRUCTION_ALLOW_NONCOMMERCIAL", "1")
    assert programs_of_run({}, False)["gaussian_splats"].name == "dashgaussian"
    with pytest.raises(UsageError, match="RECONSTRUCTION_ALLOW_NONCOMMERCIAL is 'yes'"):
        load_settings({"RECONSTRUCTION_ALLOW_NONCOMMERCIAL": "yes"})


def test_a_container_gets_its_hardware_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program: Program = shipped_programs()["graphdeco-3dgs"]
    (request,) = external_stage(program).container_kwargs["device_requests"]
    assert (request["driver"], request["count"], request["capabilities"]) == ("nvidia", -1, [["gpu"]])
    profiles = tmp_path / "profiles.yaml"
    profiles.write_text("gpu: {env_vars: [A=1], container_kwargs: {shm_size: 8g}}\n")
    monkeypatch.setenv("RECONSTRUCTION_PROFILES", str(profiles))
    stage = external_stage(program, tmp_path / "logs")
    assert stage.container_kwargs == {"shm_size": "8g"} and stage.container_environment == ("A=1",)
    assert stage.failed_logs == str(tmp_path / "logs")
    profiles.write_text("cpu: {}\n")
    with pytest.raises(UsageError, match="there is no hardware profile 'gpu'; there are cpu"):
        external_stage(program)


def test_the_last_rung_of_the_poses_is_a_program_like_any(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fallback_poses() is None
    monkeypatch.setenv("RECONSTRUCTION_POSES_COMMAND", "/opt/My_Mapper --in {images} --name 'a b' {output}")
    stage = fallback_poses()
    assert stage and stage.program.name == "my-mapper" and stage.program.licence == "not stated"
    assert stage.program.argv == ("/opt/My_Mapper", "--in", "{images}", "--name", "a b", "{output}")
    monkeypatch.setenv("RECONSTRUCTION_POSES_COMMAND", "mapper --in {images}")
    with pytest.raises(UsageError, match=r"RECONSTRUCTION_POSES_COMMAND: .* does not say where \{output\} goes"):
        fallback_poses()


def test_a_stage_waits_for_its_program_and_no_longer_than_a_day() -> None:
    program, row = shipped_programs()["reconstruct-train"], preset_named("fastest")
    usual = limit_seconds("gaussian_splats", row)
    assert limit_of_program(program, usual) == 600 * 60 + usual <= MAX_SECONDS
