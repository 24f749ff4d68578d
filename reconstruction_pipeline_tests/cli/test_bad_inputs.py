"""Every capture of `bad/`, as its README says: through `reconstruct run` and through the upload sensor."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from reconstruction_pipeline.artifacts import SourceVideo
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.orchestration import sensors
from reconstruction_pipeline.orchestration.catalog import Catalog
from reconstruction_pipeline.orchestration.local_run import run_job
from reconstruction_pipeline.orchestration.names import VIDEOS
from reconstruction_pipeline_tests.cli.conftest import Cli
from reconstruction_pipeline_tests.orchestration.conftest import home  # noqa: F401
from reconstruction_pipeline_tests.orchestration.test_sensor import Clock, Folder
from reconstruction_pipeline_tests.stages.captures import real_capture


@dataclass(frozen=True)
class Bad:
    """A capture; the exit codes its README allows; what the sentence (or, on success, a warning) says."""

    name: str
    codes: tuple[int, ...]
    says: str = ""
    worst_grade: str = "A"
    """On success: this grade or a lower one."""

    def __str__(self) -> str:
        return self.name


# The probe sees these; nothing may be left of them.
UNREADABLE = (
    Bad("empty_0bytes", (2,), "empty"),
    Bad("text_renamed", (2,), "not a readable video"),
    Bad("jpeg_renamed", (2,), "one JPEG picture"),
    Bad("no_video_stream_audio_only", (2,), "only sound"),
    Bad("truncated_60pct_moov_at_end", (2,), "moov"),
    Bad("one_frame", (2,), "at least 8 frames and 1 s"),
    Bad("too_short_24frames", (2,), "at least 8 frames and 1 s"),
    Bad("short_3frames_hevc_rot90", (2,), "at least 8 frames and 1 s"),
)
# Keyframe selection sees these; they are videos that were stopped, with a report.
NOTHING_TO_SEE = (
    Bad("all_black_10s", (2,), "black or a flat colour"),
    Bad("textureless_gray_noise", (2,), "flat colour|texture|followed"),
    Bad("static_single_photo_6s", (2,), "stands still"),
)
# These need the whole line.
DOUBTFUL = (
    Bad("truncated_60pct_faststart", (0,), r"13\.\d of 22\.8 s decode"),
    Bad("rotation_only_synthetic", (3,), "do not only turn"),
    Bad("two_unrelated_scenes_cut", (0,), r"only \d+\.\d-\d+\.\d s is used, not \d+\.\d"),
    Bad("very_blurry_alvaar", (0, 3), "", worst_grade="C"),
    Bad("vfr_alvaar", (0,)),
    Bad("rotmeta90_alvaar", (0,)),
    Bad("hlg10bit_hevc_rot90_editlist_86f", (0, 3)),
)


def capture(bad: Bad) -> Path:
    return real_capture(f"bad/{bad.name}.mp4")


def test_every_bad_capture_is_tested() -> None:
    folder = real_capture("bad")
    assert {bad.name for bad in UNREADABLE + NOTHING_TO_SEE + DOUBTFUL} == {path.stem for path in folder.glob("*.*")}


def left_behind(storage: Path) -> list[str]:
    """Everything under the storage root but Dagster's own files and the sensor's notes of refusals."""
    files = [path.relative_to(storage).as_posix() for path in storage.rglob("*") if path.is_file()]
    return [name for name in files if not name.startswith(("dagster_home/", "refused/"))]


def assert_stopped_whole(storage: Path, key: str, says: str) -> None:
    """A stopped video is whole: registered, its copy stored, its report and numbers there, no unfinished work."""
    assert Catalog(str(storage)).get(key)
    store = ArtifactStore(storage, storage / ".scratch")
    assert store.current_version(SourceVideo.KIND, key)
    assert not list((storage / ".scratch" / "work").glob("*"))
    folder = storage / "deliverables" / key
    assert json.loads((folder / "metrics.json").read_text())["grade"] == "F"
    assert re.search(says, (folder / "report.html").read_text())


@pytest.mark.parametrize("bad", UNREADABLE, ids=str)
def test_run_refuses_what_the_probe_cannot_use(bad: Bad, cli: Cli, storage: Path) -> None:
    done = cli("run", capture(bad), "--preset", "fastest")
    assert done.code in bad.codes
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert bad.says in done.error and f"{bad.name}.mp4" in done.error
    assert left_behind(storage) == []
    with dg.DagsterInstance.get() as instance:
        assert instance.get_dynamic_partitions(VIDEOS) == []


@pytest.mark.parametrize(
    "bad",
    [NOTHING_TO_SEE[0], *(pytest.param(bad, marks=pytest.mark.soak) for bad in NOTHING_TO_SEE[1:])],
    ids=str,
)
def test_run_stops_at_the_keyframes(bad: Bad, cli: Cli, storage: Path) -> None:
    done = cli("run", capture(bad), "--preset", "fastest")
    assert done.code in bad.codes
    assert re.search(bad.says, done.error)
    assert done.err.count("error: ") == 1
    assert_stopped_whole(storage, bad.name, bad.says)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("bad", DOUBTFUL, ids=str)
def test_run_goes_as_far_as_the_capture_allows(bad: Bad, cli: Cli, storage: Path) -> None:
    done = cli("run", capture(bad), "--preset", "balanced")
    assert done.code in bad.codes, done.err
    assert "Traceback" not in done.err + done.out
    numbers = json.loads((storage / "deliverables" / bad.name / "metrics.json").read_text())
    if done.code:
        assert re.search(bad.says, done.error)
        assert_stopped_whole(storage, bad.name, bad.says)
        assert numbers["grade"] == "F"
    else:
        assert re.search(bad.says, " ".join(numbers["warnings"]))
        assert numbers["grade"] >= bad.worst_grade
    if bad.name == "two_unrelated_scenes_cut":
        assert numbers["camera_poses"]["images"] == numbers["keyframes"]["selected"]


@pytest.fixture
def folder(tmp_path: Path, storage: Path, home: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Folder:  # noqa: F811
    clock = Clock()
    monkeypatch.setattr(sensors, "time", clock)
    (tmp_path / "uploads").mkdir()
    return Folder(tmp_path / "uploads", home, clock, Catalog(str(storage)))


def test_the_sensor_refuses_what_the_probe_cannot_use(folder: Folder, storage: Path) -> None:
    for bad in UNREADABLE:
        folder.put(f"{bad.name}.mp4", capture(bad))
    assert folder.settle() == folder.tick() == []
    assert folder.partitions() == []
    assert left_behind(storage) == []
    refusals = {line.split(" refused: ")[0]: line for line in folder.log}
    assert len(folder.log) == len(refusals) == len(UNREADABLE)
    for bad in UNREADABLE:
        assert bad.says in refusals[f"{bad.name}.mp4"]
        assert "\n" not in refusals[f"{bad.name}.mp4"]


def test_the_sensor_asks_for_one_run_of_each_of_the_others(folder: Folder) -> None:
    others = NOTHING_TO_SEE + DOUBTFUL
    for bad in others:
        folder.put(f"{bad.name}.mp4", capture(bad))
    asked = folder.settle()
    while more := folder.tick():
        asked += more
    names = sorted(bad.name for bad in others)
    assert sorted(str(request.partition_key) for request in asked) == folder.partitions() == names
    assert not [line for line in folder.log if "refused" in line]


@pytest.mark.parametrize(
    "bad",
    [
        NOTHING_TO_SEE[0],
        *(pytest.param(bad, marks=pytest.mark.soak) for bad in (*NOTHING_TO_SEE[1:], DOUBTFUL[1])),
    ],
    ids=str,
)
def test_an_upload_that_shows_nothing_is_a_video_marked_failed(bad: Bad, folder: Folder, storage: Path) -> None:
    folder.put(f"{bad.name}.mp4", capture(bad))
    (request,) = folder.settle()
    key = str(request.partition_key)
    made = run_job(folder.instance, key, {"preset": "fastest"})
    assert not made.success
    run = folder.instance.get_run_by_id(made.run_id)
    assert run and run.status == dg.DagsterRunStatus.FAILURE
    events = [event.dagster_event for event in folder.instance.all_logs(made.run_id) if event.dagster_event]
    said = [event.message or "" for event in events] + [
        event.asset_check_evaluation_data.description or ""
        for event in events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    assert any(re.search(bad.says, sentence) for sentence in said)
    assert_stopped_whole(storage, key, bad.says)
