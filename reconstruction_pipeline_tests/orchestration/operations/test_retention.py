"""Retention: what goes, what stays, and that a dry run deletes nothing."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.artifacts.superseded import GRACE, version_name
from reconstruction_pipeline.orchestration.limits import MAX_SECONDS
from reconstruction_pipeline.orchestration.operations.retention import deletions
from reconstruction_pipeline.orchestration.operations.retention_job import retention, retention_nightly
from reconstruction_pipeline.orchestration.runs import PARTITION_TAG

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
def store(storage: Path, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(storage), tmp_path / "scratch")


def add_versions(store: ArtifactStore, key: str, ages_days: list[float]) -> list[str]:
    """Versions of these ages, oldest first, the last of them current."""
    names = [version_name(NOW - age * DAY, f"{int(age * 10):06d}") for age in ages_days]
    for name in names:
        folder = Path(str(store.root)) / "mesh" / key / name
        folder.mkdir(parents=True)
        (folder / "mesh.glb").write_bytes(b"x" * 1000)
    (Path(str(store.root)) / "mesh" / key / "current.json").write_text(f'{{"version": "{names[-1]}"}}')
    return names


def add_scratch(store: ArtifactStore, *parts: str, age: timedelta) -> Path:
    folder = store.scratch.joinpath(*parts)
    folder.mkdir(parents=True)
    file = folder / "state.npz"
    file.write_bytes(b"y" * 500)
    then = time.time() - age.total_seconds()
    for path in (file, folder):
        os.utime(path, (then, then))
    return folder


def due(store: ArtifactStore, busy: set[str] | None = None, keep: int = 2) -> list[str]:
    found = deletions(store, datetime.now(UTC), keep, GRACE, 7 * DAY, busy or set())
    return [item.path for item in found]


def test_old_versions_go_and_current_last_and_recent_ones_stay(store: ArtifactStore) -> None:
    names = add_versions(store, "walk", [30, 20, 10, 0.5, 0.2, 0])
    # The third was current until half a day ago: a step may still read it.
    assert due(store) == [str(store.root / "mesh" / "walk" / name) for name in names[:2]]


def test_the_current_version_stays_however_old(store: ArtifactStore) -> None:
    names = add_versions(store, "walk", [30, 20, 10, 5])
    pointer = Path(str(store.root)) / "mesh" / "walk" / "current.json"
    pointer.write_text(f'{{"version": "{names[0]}"}}')
    assert due(store, keep=1) == [str(store.root / "mesh" / "walk" / name) for name in names[1:3]]


def test_nothing_of_a_video_at_work_goes(store: ArtifactStore) -> None:
    add_versions(store, "walk", [30, 20, 10, 5])
    add_scratch(store, "work", "mesh-walk-0123abcd", age=30 * DAY)
    add_scratch(store, "checkpoints", "walk", "gaussian_splats-balanced-v1", age=30 * DAY)
    assert len(due(store)) == 4
    assert due(store, busy={"walk"}) == []
    assert len(due(store, busy={"walk-2"})) == 4


def test_scratch_goes_by_its_last_use(store: ArtifactStore) -> None:
    old = add_scratch(store, "cache", "keyframes", "walk", "v1", age=8 * DAY)
    used = add_scratch(store, "cache", "keyframes", "walk", "v2", age=8 * DAY)
    add_scratch(store, "incoming", "walk", age=6 * DAY)
    os.utime(used)
    assert due(store) == [str(old)]


def test_a_step_never_outlives_the_grace() -> None:
    assert timedelta(seconds=MAX_SECONDS) < GRACE


def run(instance: dg.DagsterInstance, **config: object) -> dict[str, object]:
    result = retention.execute_in_process(
        instance=instance,
        run_config={
            "ops": {"apply_retention": {"config": config}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        raise_on_error=False,
    )
    assert result.success == (config.get("grace_hours", 24) != 1)
    outputs = [e.step_output_data for e in result.all_events if e.event_type is dg.DagsterEventType.STEP_OUTPUT]
    return {name: value.value for output in outputs for name, value in output.metadata.items()}


def test_a_dry_run_comes_first_and_says_what_would_go(store: ArtifactStore) -> None:
    names = add_versions(store, "walk", [30, 20, 10, 9, 8])
    add_scratch(store, "work", "mesh-walk-0123abcd", age=30 * DAY)
    homes = Path(str(store.root)) / "mesh" / "walk"
    with dg.DagsterInstance.ephemeral() as instance:
        told = run(instance)
        assert (told["folders"], told["bytes"], told["dry_run"]) == (3, 2500, True)
        assert len(list(homes.iterdir())) == 6
        done = run(instance, dry_run=False)
        assert (done["folders"], done["bytes"]) == (3, 2500)
        assert sorted(path.name for path in homes.iterdir()) == [*names[2:], "current.json"]
        assert list((store.scratch / "work").iterdir()) == []
        assert run(instance, dry_run=False)["folders"] == 0
        assert run(instance, grace_hours=1) == {}  # under what a step may take


def test_runs_at_work_are_asked_for(store: ArtifactStore) -> None:
    @dg.job
    def other() -> None: ...

    add_versions(store, "walk", [30, 20, 10, 9, 8])
    with dg.DagsterInstance.ephemeral() as instance:
        work = instance.create_run_for_job(other, status=dg.DagsterRunStatus.STARTING)
        instance.add_run_tags(work.run_id, {PARTITION_TAG: "walk"})
        assert run(instance, dry_run=False)["folders"] == 0


@pytest.mark.parametrize(("setting", "dry_run"), [("", True), ("report", True), ("delete", False)])
def test_the_schedule_only_reports_unless_told_otherwise(
    storage: Path, monkeypatch: pytest.MonkeyPatch, setting: str, dry_run: bool
) -> None:
    monkeypatch.setenv("RECONSTRUCTION_RETENTION", setting)
    request = retention_nightly()
    assert isinstance(request, dg.RunRequest)
    assert request.run_config == {"ops": {"apply_retention": {"config": {"dry_run": dry_run}}}}
