"""The upload folder's sensor, tick by tick, on real little videos."""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest
from upath import UPath

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.keys import require_safe_key
from reconstruction_pipeline.orchestration import sensors
from reconstruction_pipeline.orchestration.catalog import Catalog, Entry
from reconstruction_pipeline.orchestration.ingesting import capture_of, drop_fetched
from reconstruction_pipeline.orchestration.names import VIDEOS
from reconstruction_pipeline.orchestration.operations.alerts import Alert
from reconstruction_pipeline.orchestration.refusals import Refusals
from reconstruction_pipeline.orchestration.sensors import video_uploads
from reconstruction_pipeline.settings import load_settings
from reconstruction_pipeline.stages.ingest import content_sha256
from reconstruction_pipeline_tests.stages.captures import sliding_frames, write_video


@dataclass
class Clock:
    """Stands in for the sensor's `time`."""

    now: float = 1_900_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@dg.job
def asked_for() -> None:
    """Stands in for the runs that Dagster makes of requests."""


@dataclass
class Folder:
    """The upload folder, its sensor, and what Dagster does between its ticks."""

    path: Path
    instance: dg.DagsterInstance
    clock: Clock
    catalog: Catalog
    cursor: str | None = None
    log: list[str] = field(default_factory=list)
    events: list[object] = field(default_factory=list)

    def put(self, name: str, content: Path, unique: bool = False) -> Path:
        """Copy a video in; `unique` adds an empty box with the name, so that no other file has the same content."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(content, target)
        if unique:
            with target.open("ab") as file:
                file.write(struct.pack(">I4s", 8 + len(name.encode()), b"free") + name.encode())
        return target

    def tick(self, seconds: float = 30.0) -> list[dg.RunRequest]:
        self.clock.now += seconds
        with dg.build_sensor_context(self.instance, self.cursor) as context:
            context.log.handlers[:] = []
            context.log.warning = context.log.info = context.log.error = self.log.append  # type: ignore[method-assign]
            result = video_uploads(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        self.events += result.asset_events
        for request in result.dynamic_partitions_requests or []:
            assert isinstance(request, dg.AddDynamicPartitionsRequest)
            assert request.partitions_def_name == VIDEOS
            self.instance.add_dynamic_partitions(VIDEOS, request.partition_keys)
        requests = list(result.run_requests or [])
        assert {r.partition_key for r in requests} <= set(self.partitions())
        for request in requests:
            tags = {"dagster/run_key": request.run_key or "", "dagster/partition": str(request.partition_key)}
            self.instance.create_run_for_job(asked_for, tags=tags, status=dg.DagsterRunStatus.SUCCESS)
        return requests

    def settle(self) -> list[dg.RunRequest]:
        """Two ticks: seen, then found unchanged."""
        assert self.tick() == []
        return self.tick()

    def partitions(self) -> list[str]:
        return sorted(self.instance.get_dynamic_partitions(VIDEOS))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two captures of different content."""
    folder = tmp_path_factory.mktemp("videos")
    return [write_video(folder / f"{i}.mp4", sliding_frames(20, 96, 64, seed=i)) for i in range(2)]


@pytest.fixture
def folder(tmp_path: Path, storage: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    clock = Clock()
    monkeypatch.setattr(sensors, "time", clock)
    (tmp_path / "uploads").mkdir()
    with dg.DagsterInstance.ephemeral() as instance:
        yield Folder(tmp_path / "uploads", instance, clock, Catalog(str(storage)))


def test_a_new_video_becomes_a_partition_and_a_run(folder: Folder, videos: list[Path]) -> None:
    path = folder.put("Garden walk.MP4", videos[0])
    (request,) = folder.settle()
    assert request.partition_key == "garden-walk"
    assert request.run_key and request.run_key.startswith("garden-walk:")
    assert folder.partitions() == ["garden-walk"]
    entry = folder.catalog.require("garden-walk")
    assert (entry.origin, entry.sha256, entry.via) == (str(path), content_sha256(path), "uploads")
    assert folder.tick() == []


def test_an_absent_folder_is_an_empty_one(folder: Folder) -> None:
    folder.path.rmdir()
    assert folder.tick() == []


def test_a_growing_file_waits(folder: Folder, videos: list[Path]) -> None:
    whole = videos[0].read_bytes()
    path = folder.path / "walk.mp4"
    for share in (0.3, 0.6, 1.0):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert folder.tick() == []
    assert folder.tick(seconds=4) == []  # unchanged since the last tick, but that is not long
    assert [r.partition_key for r in folder.tick(seconds=8)] == ["walk"]


def test_changed_content_is_a_new_run_of_the_same_video(folder: Folder, videos: list[Path]) -> None:
    folder.put("walk.mp4", videos[0])
    (first,) = folder.settle()
    path = folder.put("walk.mp4", videos[1])
    (second,) = folder.settle()
    assert first.partition_key == second.partition_key == "walk"
    assert first.run_key != second.run_key
    assert folder.catalog.require("walk").sha256 == content_sha256(path)


def test_the_same_content_with_a_new_date_is_not_run_again(folder: Folder, videos: list[Path]) -> None:
    path = folder.put("walk.mp4", videos[0])
    folder.settle()
    os.utime(path, (1, 1))
    assert folder.settle() == []
    assert any("already has" in line for line in folder.log)


def test_a_copy_under_another_name_is_not_run(folder: Folder, videos: list[Path]) -> None:
    folder.put("walk.mp4", videos[0])
    folder.settle()
    folder.put("copy of walk.mp4", videos[0])
    assert folder.settle() == []
    assert any("copy of walk.mp4" in line and "'walk'" in line for line in folder.log)
    assert folder.partitions() == ["walk"]


def test_a_tick_that_was_lost_after_registering_is_made_up_for(folder: Folder, videos: list[Path]) -> None:
    path = folder.put("walk.mp4", videos[0])
    folder.catalog.register(Entry("walk", str(path), content_sha256(path), "uploads"))
    assert [r.partition_key for r in folder.settle()] == ["walk"]


def test_so_is_one_that_was_lost_with_a_new_version(folder: Folder, videos: list[Path]) -> None:
    folder.put("walk.mp4", videos[0])
    folder.settle()
    path = folder.put("walk.mp4", videos[1])
    folder.catalog.register(Entry("walk", str(path), content_sha256(path), "uploads", added_at="2031-01-01T00:00:00"))
    assert [r.partition_key for r in folder.settle()] == ["walk"]


def test_a_retired_video_may_come_back_with_the_same_file(folder: Folder, videos: list[Path]) -> None:
    path = folder.put("walk.mp4", videos[0])
    (first,) = folder.settle()
    stat = path.stat()
    path.unlink()
    folder.tick()
    folder.catalog.forget("walk")
    folder.instance.delete_dynamic_partition(VIDEOS, "walk")
    time.sleep(1.1)  # registrations are told apart by the second
    folder.put("walk.mp4", videos[0])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (second,) = folder.settle()
    assert second.partition_key == "walk" and second.run_key != first.run_key


def test_an_unreadable_file_is_refused_once_for_each_version_of_it(folder: Folder, videos: list[Path]) -> None:
    path = folder.path / "broken.mp4"
    path.write_bytes(b"this is no video")
    for _ in range(4):
        assert folder.tick() == []
    told = [line for line in folder.log if "refused" in line]
    assert len(told) == 1
    assert "broken.mp4" in told[0] and "not a readable video" in told[0]
    (event,) = folder.events
    assert isinstance(event, dg.AssetObservation) and "not a readable video" in str(event.description)
    recorded = Refusals(load_settings().storage)
    (refusal,) = recorded.all()
    assert refusal.name == "broken.mp4" and refusal.at and "not a readable video" in refusal.sentence
    assert folder.partitions() == []
    assert folder.catalog.get("broken") is None
    folder.put("broken.mp4", videos[0])
    assert [r.partition_key for r in folder.settle()] == ["broken"]
    assert recorded.all() == []


def test_a_file_that_cannot_be_read_is_tried_again_and_then_refused(
    folder: Folder, videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconstruction_pipeline.stages import ingest

    def fails(path: Path, found: object) -> str:
        if path.name == "bad.mp4":
            raise OSError(5, "Input/output error")
        return content_sha256(path)

    monkeypatch.setattr(ingest, "content_sha256", fails)
    folder.put("bad.mp4", videos[0])
    folder.put("good.mp4", videos[1])
    assert [r.partition_key for r in folder.settle()] == ["good"]  # the bad one holds up nobody
    for _ in range(4):
        assert folder.tick() == []
    assert len([line for line in folder.log if "cannot be read now" in line]) == 2
    refusal = Refusals(load_settings().storage).of("bad.mp4")
    assert refusal and "Input/output error" in refusal.sentence


def test_a_file_over_the_limit_is_refused_unread(
    folder: Folder, videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONSTRUCTION_MAX_UPLOAD_GB", "0.000001")
    folder.put("walk.mp4", videos[0])
    assert folder.settle() == []
    refusal = Refusals(load_settings().storage).of("walk.mp4")
    assert refusal and "more than the limit of 1e-06 GB" in refusal.sentence


def test_uploads_wait_while_the_disk_is_full(
    folder: Folder, videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONSTRUCTION_MIN_FREE_GB", "1e9")
    folder.put("walk.mp4", videos[0])
    assert folder.settle() == []
    assert any("walk.mp4 waits" in line and "retire videos" in line for line in folder.log)
    monkeypatch.setenv("RECONSTRUCTION_MIN_FREE_GB", "0")
    assert [r.partition_key for r in folder.tick()] == ["walk"]


def test_a_link_out_of_the_folder_is_not_followed(folder: Folder, videos: list[Path]) -> None:
    outside = folder.path.parent / "outside"
    outside.mkdir()
    shutil.copyfile(videos[0], outside / "secret.mp4")
    (folder.path / "link.mp4").symlink_to(outside / "secret.mp4")
    (folder.path / "linked").symlink_to(outside)
    assert folder.settle() == []
    assert json.loads(folder.cursor or "")["seen"] == {}


def test_refusals_are_posted(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    posted: list[Alert] = []
    monkeypatch.setenv("RECONSTRUCTION_WEBHOOK", "https://hooks.example/x")
    monkeypatch.setattr(sensors, "post", lambda url, alerts: posted.extend(alerts))
    (folder.path / "broken.mp4").write_bytes(b"this is no video")
    folder.settle()
    assert [(alert.event, alert.video) for alert in posted] == [("upload_refused", "broken.mp4")]


def test_an_object_store_is_watched_too(folder: Folder, videos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A far file is judged by its run: no tick downloads it."""
    place = UPath(f"memory://uploads-{folder.path.parent.name}")
    monkeypatch.setenv("RECONSTRUCTION_UPLOADS", str(place))
    assert folder.tick() == []
    for name in ("site/walk.mp4", ".hidden/walk.mp4", "notes.txt"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(videos[0].read_bytes())
    (request,) = folder.settle()
    assert request.partition_key == "site-walk"
    entry = folder.catalog.require("site-walk")
    assert entry.origin == f"{place}/site/walk.mp4" and entry.fingerprint
    assert folder.tick() == []
    folder.cursor = None  # forgotten, as after a reset in the UI
    assert folder.settle() == []

    fetched = capture_of("site-walk")
    assert fetched.read_bytes() == videos[0].read_bytes()
    drop_fetched("site-walk")
    assert not fetched.exists()
    (place / "site/walk.mp4").unlink()
    with pytest.raises(InputRejected, match="gone"):
        capture_of("site-walk")


def test_hidden_partial_and_other_files_are_not_seen(folder: Folder, videos: list[Path]) -> None:
    for name in (".walk.mp4", ".cache/walk.mp4", "walk.mp4.part", "walk.mp4.crdownload", "notes.txt", "walk"):
        folder.put(name, videos[0])
    (folder.path / "folder.mp4").mkdir()
    (folder.path / "dangling.mp4").symlink_to(folder.path / "nothing")
    assert folder.settle() == []
    assert json.loads(folder.cursor or "")["seen"] == {}


def test_the_masks_of_a_video_are_no_video(folder: Folder, videos: list[Path]) -> None:
    for name in ("a/walk.mp4", "a/walk_mask.mp4", "b/walk_mask.mp4"):
        folder.put(name, videos[0], unique=True)
    assert sorted(str(r.partition_key) for r in folder.settle()) == ["a-walk", "b-walk_mask"]


def test_unsafe_names_get_safe_keys(folder: Folder, videos: list[Path]) -> None:
    names = ["a, b.mp4", "new\nline.mp4", "Büro/Clip 01.mov", "$(reboot).mp4", "..mp4.mp4", "日本.mp4"]
    for name in names:
        folder.put(name, videos[0], unique=True)
    requests = folder.settle()
    keys = [str(r.partition_key) for r in requests]
    assert len(set(keys)) == len(keys)
    for key in keys:
        require_safe_key(key)
    assert {"a-b", "new-line", "buro-clip-01", "reboot"} <= set(keys)


def test_two_files_with_one_slug_are_two_videos_for_ever(folder: Folder, videos: list[Path]) -> None:
    folder.put("my walk.mp4", videos[0])
    folder.put("my-walk.mp4", videos[1])
    first, second = (str(r.partition_key) for r in folder.settle())
    assert first == "my-walk"
    assert second.startswith("my-walk-") and second != first
    folder.put("my walk.mp4", videos[1])
    folder.put("my-walk.mp4", videos[0])
    assert [r.partition_key for r in folder.settle()] == [first, second]


def test_a_name_that_the_command_line_gave_to_other_content_is_left_alone(folder: Folder, videos: list[Path]) -> None:
    folder.catalog.register(Entry("walk", "/home/me/walk.mp4", "ab" * 32))
    folder.put("walk.mp4", videos[0])
    (request,) = folder.settle()
    assert str(request.partition_key).startswith("walk-")
    assert folder.catalog.require("walk").origin == "/home/me/walk.mp4"


def test_more_than_a_tick_may_start_go_on_at_the_next(
    folder: Folder, videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "MAX_RUNS_PER_TICK", 2)
    for i in range(5):
        folder.put(f"clip{i}.mp4", videos[0], unique=True)
    folder.tick()
    assert [len(folder.tick()) for _ in range(4)] == [2, 2, 1, 0]
    assert folder.partitions() == [f"clip{i}" for i in range(5)]


def test_a_tick_that_reads_for_long_stops_and_goes_on(
    folder: Folder, videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconstruction_pipeline.stages import ingest

    def slow(path: Path, found: object) -> str:
        folder.clock.now += 15
        return content_sha256(path)

    monkeypatch.setattr(ingest, "content_sha256", slow)
    for i in range(3):
        folder.put(f"clip{i}.mp4", videos[0], unique=True)
    folder.tick()
    assert [len(folder.tick()) for _ in range(3)] == [2, 1, 0]


def test_a_deleted_upload_is_forgotten_and_the_cursor_is_json(folder: Folder, videos: list[Path]) -> None:
    path = folder.put("walk.mp4", videos[0])
    folder.settle()
    state = json.loads(folder.cursor or "")
    assert list(state) == ["seen", "started", "attempts"]
    assert list(state["started"]) == ["walk.mp4"]
    path.unlink()
    folder.tick()
    assert json.loads(folder.cursor or "") == {"seen": {}, "started": {}, "attempts": {}}
    assert folder.partitions() == ["walk"]
