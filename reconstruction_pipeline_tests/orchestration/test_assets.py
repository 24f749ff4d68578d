from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from reconstruction_pipeline.artifacts import Gate, Keyframes, SceneReport, Verdict
from reconstruction_pipeline.artifacts.errors import InputRejected, StageFailed
from reconstruction_pipeline.definitions import defs
from reconstruction_pipeline.orchestration.ingesting import open_catalog
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.orchestration.names import GPU_POOL, HARDWARE_TAG, STAGES
from reconstruction_pipeline.orchestration.stage_process import TransientFailure
from reconstruction_pipeline_tests.orchestration.canned import Line
from reconstruction_pipeline_tests.report.scenes import HASH

BLACK = Verdict.of([Gate("content", False, "block", "90 % of the frames are black.", 0.9, 0.5, "Film in light.")])


def materialized(line: Line) -> set[str]:
    return {stage for stage in STAGES if line.key in line.instance.get_materialized_partitions(dg.AssetKey(stage))}


def metrics(line: Line) -> dict[str, object]:
    found: dict[str, object] = json.loads((line.storage / "deliverables" / line.key / "metrics.json").read_text())
    return found


def test_definitions_load_and_have_the_contracts_names() -> None:
    dg.Definitions.validate_loadable(defs)
    graph = defs.get_repository_def().asset_graph
    assert {key.path[-1] for key in graph.get_all_asset_keys()} == {*STAGES, "quality_summary"}
    parents = {key.path[-1]: {p.path[-1] for p in graph.get(key).parent_keys} for key in graph.get_all_asset_keys()}
    assert parents["depth_maps"] == {"camera_poses"}
    assert parents["gaussian_splats"] == {"camera_poses", "depth_maps"}
    assert parents["mesh"] == {"gaussian_splats", "camera_poses", "depth_maps"}
    for name in ("camera_poses", "depth_maps", "gaussian_splats", "mesh", "compressed_splats"):
        node = graph.get(dg.AssetKey(name)).assets_def
        assert node.op.pool == GPU_POOL
        assert node.op.tags[HARDWARE_TAG] in ("gpu", "cpu")
        assert node.code_versions_by_key[dg.AssetKey(name)]


def test_a_whole_line_stores_delivers_and_reports(line: Line) -> None:
    assert line.run(preset="fastest").success
    assert materialized(line) == set(STAGES)
    delivered = {path.name for path in (line.storage / "deliverables" / line.key).iterdir()}
    expected = {
        "scene.ply",
        "scene.sog",
        "viewer.html",
        "mesh.glb",
        "mesh.ply",
        "colmap",
        "report.html",
        "metrics.json",
    }
    assert expected <= delivered
    assert metrics(line)["preset"] == "fastest"
    event = line.instance.get_latest_materialization_event(dg.AssetKey("gaussian_splats"))
    assert event and event.asset_materialization
    shown = event.asset_materialization.metadata
    assert shown["psnr_holdout_db"].value == pytest.approx(26.1, abs=1e-5)
    assert shown["peak_rss_mb"].value == 123.0
    stored = open_store().load(Keyframes, line.key)
    assert stored.provenance.inputs["source_video"] == open_store().current_version("source_video", line.key)
    assert stored.provenance.settings["preset"] == "fastest"


def test_the_hash_of_the_content_is_the_data_version(line: Line) -> None:
    result = line.run("source_video")
    event = result.asset_materializations_for_node("source_video")[0]
    assert (event.tags or {})["dagster/data_version"] == HASH


def test_one_stage_runs_alone_on_what_is_stored(line: Line) -> None:
    line.run()
    line.stages.calls.clear()
    before = open_store().current_version("keyframes", line.key)
    assert line.run("mesh").success
    assert line.stages.calls == ["extract_mesh"]
    read = open_store().manifest("mesh", line.key).provenance.inputs
    assert set(read) == {"gaussian_splats", "camera_poses", "depth_maps"}, "what comes as an option is lineage, too"
    assert open_store().current_version("keyframes", line.key) == before


def test_a_blocking_gate_stops_the_line_and_still_reports(line: Line) -> None:
    line.stages.verdicts["select_keyframes"] = BLACK
    result = line.run()
    assert not result.success
    assert line.stages.calls == ["ingest", "select_keyframes"]
    assert materialized(line) == {"source_video", "keyframes", "scene_report"}
    assert metrics(line)["grade"] == "F"
    assert "black" in (line.storage / "deliverables" / line.key / "report.html").read_text()
    gallery = (line.storage / "deliverables" / "index.html").read_text()
    assert f'data-name="{line.key}" data-grade="F"' in gallery and "90 % of the frames are black." in gallery
    checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert (checks["content"].passed, checks["content"].partition) == (False, line.key)
    assert checks["sharp"].passed


def test_another_run_refuses_what_failed_its_gates_unless_told_to_accept(line: Line) -> None:
    line.stages.verdicts["select_keyframes"] = BLACK
    line.run("source_video", "keyframes")
    refused = line.run("camera_poses")
    assert not refused.success
    assert "estimate_poses" not in line.stages.calls
    failure = open_store().failure("camera_poses", line.key)
    assert failure and "90 % of the frames are black" in failure.sentence
    assert line.run("camera_poses", accept_failed_gates=True).success
    manifest = open_store().manifest("camera_poses", line.key)
    assert manifest.metrics["accepted_failed_gates"] is True


def test_a_refusal_is_final_remembered_and_reported(line: Line) -> None:
    line.stages.errors["estimate_poses"] = [StageFailed("walk: no two frames match; move, do not only turn.")] * 9
    result = line.run()
    assert not result.success
    assert line.stages.calls.count("estimate_poses") == 1
    assert metrics(line)["failed"]["stage"] == "camera_poses"  # type: ignore[index]
    assert "do not only turn" in (line.storage / "deliverables" / line.key / "report.html").read_text()


def test_exit_code_of_a_rejected_input_is_kept(line: Line) -> None:
    line.stages.errors["select_keyframes"] = [InputRejected("walk.mp4: nothing decodes.")]
    line.run()
    failure = open_store().failure("keyframes", line.key)
    assert failure and failure.exit_code == 2


@pytest.fixture
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda self, attempt: 0.0)


@pytest.mark.usefixtures("no_delay")
def test_a_transient_failure_is_tried_again(line: Line) -> None:
    line.stages.errors["ingest"] = [TransientFailure("killed"), OSError(28, "No space left on device")]
    assert line.run("source_video").success
    assert line.stages.calls == ["ingest"] * 3
    assert len(list((open_store().scratch / "work").iterdir())) == 0


@pytest.mark.usefixtures("no_delay")
def test_a_process_that_always_dies_stops_the_line_with_a_report(line: Line) -> None:
    line.stages.errors["estimate_poses"] = [TransientFailure("it ended without a result (exit status -9).")] * 9
    assert not line.run().success
    assert line.stages.calls.count("estimate_poses") == 3
    failure = open_store().failure("camera_poses", line.key)
    assert failure and failure.exit_code == 3
    assert "tried 3 times: it ended without a result (exit status -9); free memory" in failure.sentence
    assert metrics(line)["failed"]["stage"] == "camera_poses"  # type: ignore[index]


def attempts(result: dg.ExecuteInProcessResult) -> int:
    """Starts of steps, first attempts and others."""
    kinds = [event.event_type for event in result.all_events]
    return sum(k in (dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_RESTARTED) for k in kinds)


@pytest.mark.usefixtures("no_delay")
def test_a_missing_input_is_said_once(line: Line) -> None:
    result = line.run("camera_poses")
    assert not result.success
    assert attempts(result) == 1
    (event,) = result.get_step_failure_events()
    error = event.step_failure_data.error
    assert error and "materialize 'keyframes' for this video first" in str(error.to_string())


@pytest.mark.usefixtures("no_delay")
def test_a_capture_that_is_gone_is_said_once_and_reported(line: Line) -> None:
    origin = Path(open_catalog().require(line.key).origin)
    origin.unlink()
    result = line.run()
    assert not result.success
    assert attempts(result) == 1
    failure = open_store().failure("source_video", line.key)
    assert failure and failure.exit_code == 2 and str(origin) in failure.sentence
    assert metrics(line)["grade"] == "F"


def test_the_stored_copy_serves_when_the_capture_is_gone(line: Line) -> None:
    line.run("source_video")
    Path(open_catalog().require(line.key).origin).unlink()
    assert line.run("source_video").success


def test_an_unfinished_stage_leaves_no_files(line: Line) -> None:
    line.stages.errors["estimate_poses"] = [StageFailed("walk: no two frames match.")]
    line.run()
    assert list((open_store().scratch / "work").iterdir()) == []


def test_a_side_branch_that_fails_keeps_the_rest_of_the_deliverables(line: Line) -> None:
    line.stages.errors["extract_mesh"] = [StageFailed("walk: no surface was found.")]
    assert not line.run().success
    folder = line.storage / "deliverables" / line.key
    assert (folder / "scene.sog").exists()
    assert (folder / "report.html").exists()
    assert not (folder / "mesh.glb").exists()
    assert metrics(line)["failed"]["stage"] == "mesh"  # type: ignore[index]


def test_a_wrong_type_is_never_stored(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconstruction_pipeline_tests.orchestration import canned

    monkeypatch.setitem(
        canned.MAKERS, "reconstruction_pipeline.stages.keyframes:select_keyframes", canned.scenes.source_video
    )
    assert not line.run("source_video", "keyframes").success
    assert open_store().current_version("keyframes", line.key) is None


def test_an_undeclared_gate_is_noticed(line: Line) -> None:
    line.stages.verdicts["select_keyframes"] = Verdict.of([Gate("new_gate", True, "warn", "fine.")])
    assert not line.run("source_video", "keyframes").success


def test_the_report_of_a_healthy_line_replaces_that_of_a_stopped_one(line: Line) -> None:
    line.stages.verdicts["select_keyframes"] = BLACK
    line.run()
    line.stages.verdicts.clear()
    assert line.run().success
    assert open_store().load(SceneReport, line.key).all_metrics()["grade"] != "F"
