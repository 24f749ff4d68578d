"""What people see of the assets, and what follows by itself."""

from __future__ import annotations

import dagster as dg

from reconstruction_pipeline.artifacts import Gate, Verdict
from reconstruction_pipeline.definitions import defs
from reconstruction_pipeline.orchestration.columns import column_schema
from reconstruction_pipeline.orchestration.names import GPU_POOL, OWNERS, STAGES
from reconstruction_pipeline_tests.orchestration.canned import Line

SHAKY = Verdict.of([Gate("points", False, "block", "30 points were found.", 30, 1000)])


def test_every_asset_says_whose_and_what_it_is() -> None:
    graph = defs.get_repository_def().asset_graph
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.owners == OWNERS and node.kinds and node.tags and node.group_name
        assert node.description and len(node.description) > 30
        schema = node.metadata["dagster/column_schema"]
        assert isinstance(schema, dg.TableColumn | dg.TableSchema)
        assert len(schema.columns) >= 5


def test_the_steps_say_to_kubernetes_what_they_say_to_docker() -> None:
    for name in STAGES:
        node = defs.get_repository_def().asset_graph.get(dg.AssetKey(name)).assets_def
        pod = node.op.tags["dagster-k8s/config"]
        wants_gpu = node.op.tags["reconstruction/hardware"] == "gpu"
        assert ("nvidia.com/gpu" in str(pod)) == wants_gpu
        assert node.op.pool == GPU_POOL or not wants_gpu


def test_the_figures_of_a_line_are_in_its_schemas(line: Line) -> None:
    assert line.run().success
    for name in STAGES[:-1]:
        event = line.instance.get_latest_materialization_event(dg.AssetKey(name))
        assert event and event.asset_materialization
        shown = event.asset_materialization.metadata
        kinds = {column.name: column.type for column in column_schema(name).columns}
        for figure, value in shown.items():
            if isinstance(value, dg.FloatMetadataValue | dg.IntMetadataValue) and not figure.startswith("spz_"):
                assert kinds.get(figure) in ("float", "int"), (name, figure)


def test_what_was_made_anew_is_followed_only_where_its_gates_passed(line: Line) -> None:
    assert line.run().success
    first = dg.evaluate_automation_conditions(defs, line.instance)
    assert first.total_requested == 0

    assert line.run("camera_poses").success
    after = dg.evaluate_automation_conditions(defs, line.instance, cursor=first.cursor)
    assert after.get_requested_partitions(dg.AssetKey("depth_maps")) == {line.key}
    assert after.get_num_requested(dg.AssetKey("keyframes")) == 0

    line.stages.verdicts["estimate_poses"] = SHAKY
    assert not line.run("camera_poses").success
    stopped = dg.evaluate_automation_conditions(defs, line.instance, cursor=first.cursor)
    assert stopped.get_num_requested(dg.AssetKey("depth_maps")) == 0
