"""Faults of what is stored: writers killed at any moment, a full disk, damaged files."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from reconstruction_pipeline.artifacts import Keyframes
from reconstruction_pipeline.artifacts.manifest import MANIFEST
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.orchestration import pipeline
from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline_tests.orchestration.canned import CannedStages, Line
from reconstruction_pipeline_tests.orchestration.faults import publisher
from reconstruction_pipeline_tests.orchestration.faults.table import Row
from reconstruction_pipeline_tests.orchestration.site.deployment import check_whole
from reconstruction_pipeline_tests.orchestration.site.servers import wait_until

FULL_MB = 24


def killed_writers(root: str, scratch: Path, rng: random.Random, times: int, kept: Path) -> tuple[int, int]:
    """Kill a process that stores, `times` times; a reader beside it looks all the while.

    Fails if a reader sees anything but a whole version, or an older one than before. Returns how often was read,
    and how many versions were stored.
    """
    reads, last = 0, 0
    for _ in range(times):
        command = [sys.executable, "-m", publisher.__name__, root, str(scratch)]
        writer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda before=last: newest(root, kept) > before, 60)
            until = time.monotonic() + rng.uniform(0.0, 0.4)
            while time.monotonic() < until:
                number = newest(root, kept)
                assert number >= last, "a reader went back in time"
                reads, last = reads + 1, number
        finally:
            writer.kill()
            writer.wait()
        number = newest(root, kept)
        assert number >= last, "a kill took back what was stored"
        reads, last = reads + 1, number
    return reads, last


def newest(root: str, scratch: Path) -> int:
    """The number of the current version, checked to the last byte; 0 while there is none.

    A writer that stores hundreds of versions a second may forget the one being read; that one alone is read anew.
    """
    store = publisher.open_store(root, scratch)
    while version := store.current_version("keyframes", publisher.KEY):
        try:
            return publisher.number_in(store.load(Keyframes, publisher.KEY, version, thorough=True))
        except Exception:
            if not publisher.may_be_forgotten(store, version):
                raise
    return 0


def kill_storing(folder: Path, seed: int, times: int = 25) -> Row:
    """Kills of a process that stores on a local disk."""
    rng = random.Random(seed)
    reads, stored = killed_writers(str(folder / "storage"), folder / "scratch", rng, times, folder / "reader")
    outcome = f"{stored} versions stored, {reads} reads beside them: each one whole version, never an older one"
    return Row("kill -9 while an artifact is stored (local disk)", times, "the version being written", outcome)


@contextmanager
def canned_line(root: Path) -> Iterator[Line]:
    """A line in this process whose stages are canned, with everything below `root` and no pauses before retries."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("STORAGE", "UPLOADS", "SCRATCH"):
            patch.setenv(f"RECONSTRUCTION_{name}", str(root / name.lower()))
        patch.setenv("DAGSTER_HOME", str(root / "home"))
        stages = CannedStages()
        patch.setattr(pipeline, "run_stage_process", stages)
        patch.setattr(dg.RetryPolicy, "calculate_delay", lambda self, attempt: 0.0)
        patch.setattr("reconstruction_pipeline.artifacts.patience.PAUSES", (0.0,))
        with dg.DagsterInstance.ephemeral() as instance:
            line = Line(instance, root / "storage", stages)
            root.mkdir(parents=True, exist_ok=True)
            line.register(root / "walk.mp4")
            yield line


def versions(store: ArtifactStore, key: str) -> dict[str, str]:
    """What is stored of a video, every byte of it checked."""
    return {stage: version for stage in STAGES if (version := check_whole(store, stage, key))}


def why_no_small_disk() -> str:
    """Why no small disk can be mounted here; empty if one can."""
    return "" if os.geteuid() == 0 and sys.platform == "linux" else "mounting a small disk needs root on Linux"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of that size, mounted at a new folder."""
    folder.mkdir(parents=True)
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    done = subprocess.run(mounted, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_disk(folder: Path, seed: int, times: int = 10) -> Row:
    """Runs on a disk with nothing left, and then with a random little, up to what a whole line needs."""
    rng, stopped = random.Random(seed), 0
    room = [0, *(int(rng.uniform(0, 1_500_000)) for _ in range(times - 1))]
    with small_disk(folder / "disk", FULL_MB) as disk, canned_line(disk) as line:
        from reconstruction_pipeline.orchestration.io_manager import open_store

        assert line.run("source_video", "keyframes").success
        for left in room:
            before = versions(open_store(), line.key)
            ballast = disk / "ballast"
            _fill(ballast, leave=left)
            result = line.run()
            after = versions(open_store(), line.key)
            assert set(after) >= set(before), "a full disk took away what was stored"
            if not result.success:
                stopped += 1
                said = " ".join(str(event.step_failure_data.error) for event in result.get_step_failure_events())
                assert "No space left on device" in said, said
            ballast.unlink()
            _drop_old(line.storage, line.key)
        assert stopped, "the disk was never full"
        assert line.run().success and set(versions(open_store(), line.key)) == set(STAGES)
    outcome = f"{stopped} runs stopped with “No space left on device”, {times - stopped} had enough room; whole again"
    return Row("disk full", times, "the stage that met it", f"{outcome} once there was room")


def _fill(path: Path, leave: int) -> None:
    """A file that takes all room but so many bytes."""
    stat = os.statvfs(path.parent)
    with path.open("wb") as file:
        left = stat.f_bavail * stat.f_frsize - leave
        with contextlib.suppress(OSError):
            while left > 0:
                left -= file.write(b"\0" * min(left, 1 << 20))


def _drop_old(storage: Path, key: str) -> None:
    """Superseded versions and half-written ones, so that the small disk serves for all tries."""
    for stage in STAGES:
        home = storage / stage / key
        pointer = home / "current.json"
        current = json.loads(pointer.read_text())["version"] if pointer.exists() else ""
        for child in home.iterdir() if home.exists() else ():
            if child.is_dir() and child.name != current:
                shutil.rmtree(child)
    shutil.rmtree(storage.parent / "scratch" / "work", ignore_errors=True)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "one bit of a picture": lambda home: _flip(home / "images" / "frame_0004.jpg"),
    "a truncated picture": lambda home: os.truncate(home / "images" / "frame_0004.jpg", 100),
    "a missing picture": lambda home: (home / "images" / "frame_0004.jpg").unlink(),
    "a damaged manifest": lambda home: (home / MANIFEST).write_text("{"),
    "a missing manifest": lambda home: (home / MANIFEST).unlink(),
    "a damaged pointer": lambda home: (home.parent / "current.json").write_text("\0\0\0\0"),
}


def damage_artifacts(folder: Path, seed: int = 0, names: tuple[str, ...] = tuple(DAMAGES)) -> Row:
    """What is stored is damaged in every way; nobody may build on it, and making it anew must mend it."""
    with canned_line(folder) as line:
        from reconstruction_pipeline.orchestration.io_manager import open_store

        assert line.run("source_video", "keyframes").success
        for name in names:
            version = open_store().current_version("keyframes", line.key)
            DAMAGES[name](line.storage / "keyframes" / line.key / str(version))
            line.stages.calls.clear()
            refused = line.run("camera_poses")
            assert not refused.success and "estimate_poses" not in line.stages.calls, name
            (event,) = refused.get_step_failure_events()
            assert "materialize 'keyframes'" in str(event.step_failure_data.error), (name, event)
            assert line.run("keyframes", "camera_poses").success, name
    what = ", ".join(names)
    return Row(
        f"damaged artifact: {what}", len(names), "none", "refused by name before it is used; made anew, all well"
    )


def two_writers(folder: Path, seed: int, seconds: float = 3.0) -> Row:
    """Two processes store the same artifact of the same video; a reader looks all the while."""
    root, scratch, reads = str(folder / "storage"), folder / "scratch", 0
    command = [sys.executable, "-m", publisher.__name__, root, str(scratch)]
    writers = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for _ in range(2)]
    try:
        wait_until(lambda: newest(root, folder / "reader"), 60)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            newest(root, folder / "reader")
            reads += 1
        assert all(writer.poll() is None for writer in writers), "one writer was harmed by the other"
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    return Row("two processes store the same artifact", 2, "none", f"{reads} reads, each of one whole version")
