"""The upload folder's sensor, tick by tick, on real little videos."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from reconstruction_pipeline.artifacts.keys import require_safe_key
from reconstruction_pipeline.orchestration import sensors
from reconstruction_pipeline.orchestration.catalog import Catalog, Entry
from reconstruction_pipeline.orchestration.names import VIDEOS
from reconstruction_pipeline.orchestration.sensors import video_uploads
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


@dataclass
class Folder:
    """The upload folder, its sensor, and what Dagster does between its ticks."""

    path: Path
    instance: dg.DagsterInstance
    clock: Clock
    catalog: Catalog
    cursor: str | None = None
    log: list[str] = field(default_factory=list)

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
            context.log.warning = context.log.info = self.log.append  # type: ignore[method-assign]
            result = video_uploads(context)
            if isinstance(result, dg.SkipReason):
                self.cursor = context.cursor
                return []
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        for request in result.dynamic_partitions_requests or []:
            assert isinstance(request, dg.AddDynamicPartitionsRequest)
            assert request.partitions_def_name == VIDEOS
            self.instance.add_dynamic_partitions(VIDEOS, request.partition_keys)
        requests = list(result.run_requests or [])
        assert {r.partition_key for r in requests} <= set(self.partitions())
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


def test_an_unreadable_file_is_refused_once_for_each_version_of_it(folder: Folder, videos: list[Path]) -> None:
    path = folder.path / "broken.mp4"
    path.write_bytes(b"this is no video")
    for _ in range(4):
        assert folder.tick() == []
    refusals = [line for line in folder.log if "refused" in line]
    assert len(refusals) == 1
    assert "broken.mp4" in refusals[0] and "not a readable video" in refusals[0]
    assert folder.partitions() == []
    assert folder.catalog.get("broken") is None
    folder.put("broken.mp4", videos[0])
    assert [r.partition_key for r in folder.settle()] == ["broken"]


def test_hidden_partial_and_other_files_are_not_seen(folder: Folder, videos: list[Path]) -> None:
    for name in (".walk.mp4", ".cache/walk.mp4", "walk.mp4.part", "walk.mp4.crdownload", "notes.txt", "walk"):
        folder.put(name, videos[0])
    (folder.path / "folder.mp4").mkdir()
    (folder.path / "dangling.mp4").symlink_to(folder.path / "nothing")
    assert folder.settle() == []
    assert json.loads(folder.cursor or "")["seen"] == {}


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

    def slow(path: Path) -> str:
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
    assert list(state) == ["seen", "started"]
    assert list(state["started"]) == ["walk.mp4"]
    path.unlink()
    folder.tick()
    assert json.loads(folder.cursor or "") == {"seen": {}, "started": {}}
    assert folder.partitions() == ["walk"]
