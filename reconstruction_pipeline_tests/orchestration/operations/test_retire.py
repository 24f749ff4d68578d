"""Retiring a video: nothing of it is left, and nothing of any other video is touched."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg
import pytest

from reconstruction_pipeline.artifacts.keys import require_safe_key
from reconstruction_pipeline.orchestration.ingesting import open_catalog
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.orchestration.names import STAGES, VIDEOS
from reconstruction_pipeline.orchestration.operations.retire_job import retire_video
from reconstruction_pipeline.orchestration.runs import PARTITION_TAG
from reconstruction_pipeline_tests.orchestration.canned import Line


def retire(line: Line, key: str, **config: object) -> dg.ExecuteInProcessResult:
    return retire_video.execute_in_process(
        instance=line.instance,
        partition_key=key,
        run_config={
            "ops": {"retire": {"config": config}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        raise_on_error=False,
    )


def paths_naming(root: Path, key: str) -> set[str]:
    """Every path below `root` that has something of this video."""
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.name in (key, f"{key}.json") or re.search(f"[a-z]-{key}-[0-9a-f]{{8}}$", path.name)
    }


@pytest.fixture
def two(line: Line, tmp_path: Path) -> Line:
    """Two finished videos, one named as the other with a suffix, each with remains in scratch."""
    line.key = "walk-2"
    line.register(tmp_path / "other.mp4")
    assert line.run().success
    line.key = "walk"
    assert line.run().success
    store = open_store()
    for key in ("walk", "walk-2"):
        store.workspace("mesh", key)
        (store.scratch / "checkpoints" / key / "gaussian_splats-balanced-v1").mkdir(parents=True)
        (store.scratch / "cache" / "keyframes" / key / "v1").mkdir(parents=True)
    return line


def test_a_retired_video_is_forgotten_and_its_neighbour_is_not(two: Line, tmp_path: Path) -> None:
    before = paths_naming(tmp_path, "walk-2")
    assert retire(two, "walk").success
    assert two.instance.get_dynamic_partitions(VIDEOS) == ["walk-2"]
    assert open_catalog().get("walk") is None
    assert paths_naming(tmp_path, "walk") == set()
    assert paths_naming(tmp_path, "walk-2") == before
    gallery = (two.storage / "deliverables" / "index.html").read_text()
    assert 'data-name="walk-2"' in gallery and 'data-name="walk"' not in gallery
    assert all(open_store().current_version(stage, "walk-2") for stage in STAGES)
    assert (tmp_path / "walk.mp4").exists()


def test_a_dry_run_deletes_nothing(two: Line, tmp_path: Path) -> None:
    before = paths_naming(tmp_path, "walk")
    result = retire(two, "walk", dry_run=True)
    assert result.success
    (output,) = (e.step_output_data for e in result.all_events if e.event_type is dg.DagsterEventType.STEP_OUTPUT)
    assert output.metadata["items"].value == len(STAGES) + 2 + 3  # deliverables, catalog entry; three of scratch
    assert output.metadata["bytes"].value > 500_000
    assert paths_naming(tmp_path, "walk") == before
    assert "walk" in two.instance.get_dynamic_partitions(VIDEOS)


def test_a_video_at_work_is_not_retired(two: Line) -> None:
    @dg.job
    def other() -> None: ...

    run = two.instance.create_run_for_job(other, status=dg.DagsterRunStatus.STARTED)
    two.instance.add_run_tags(run.run_id, {PARTITION_TAG: "walk"})
    result = retire(two, "walk")
    assert not result.success
    (failure,) = (e.step_failure_data for e in result.all_events if e.is_step_failure)
    assert failure.user_failure_data and run.run_id[:8] in (failure.user_failure_data.description or "")
    assert open_catalog().get("walk") and open_store().current_version("mesh", "walk")


def test_an_interrupted_retirement_is_finished_by_another(two: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = open_catalog()
    store = open_store()
    for stage in STAGES[:4]:
        store.forget(stage, "walk")
    assert catalog.get("walk")
    assert retire(two, "walk").success
    assert catalog.get("walk") is None
    assert store.current_version("mesh", "walk") is None


def test_a_retired_video_comes_back_as_new(two: Line, tmp_path: Path) -> None:
    retire(two, "walk")
    two.register(tmp_path / "walk.mp4")
    assert two.run().success
    assert require_safe_key("walk") in two.instance.get_dynamic_partitions(VIDEOS)
