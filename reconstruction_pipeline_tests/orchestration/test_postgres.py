"""A line whose instance is in PostgreSQL, started by the test; `test_far_deployment` has the whole deployment on it."""

from __future__ import annotations

import signal
from pathlib import Path

import dagster as dg
import pytest
import yaml

from reconstruction_pipeline.orchestration.names import GPU_POOL, STAGES, VIDEOS
from reconstruction_pipeline.settings import instance_config
from reconstruction_pipeline_tests.orchestration.canned import CannedStages, Line
from reconstruction_pipeline_tests.orchestration.site.servers import postgres_storage, running_postgres, why_no_postgres

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_no_postgres()), reason=why_no_postgres() or "-"),
]


def test_a_line_is_kept_by_a_database_that_is_restarted_in_between(
    storage: Path, tmp_path: Path, stages: CannedStages
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with running_postgres() as (server, port):
        config = yaml.safe_load(instance_config().read_text()) | {"storage": postgres_storage(port)}
        (home / "dagster.yaml").write_text(yaml.safe_dump(config))
        with dg.DagsterInstance.from_config(str(home)) as instance:
            line = Line(instance, storage, stages)
            line.register(tmp_path / "walk.mp4")
            assert line.run(preset="fastest").success
        server.stop(signal.SIGQUIT)  # at once, as a crash does
        server.start()
        with dg.DagsterInstance.from_config(str(home)) as instance:
            assert instance.get_dynamic_partitions(VIDEOS) == ["walk"]
            for stage in STAGES:
                assert instance.get_materialized_partitions(dg.AssetKey(stage)) == {"walk"}
            assert Line(instance, storage, stages).run("mesh").success
            assert instance.event_log_storage.get_concurrency_info(GPU_POOL).active_slot_count == 0
            assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS] * 2
