"""COLMAP's part of the poses again and again: does the same input give the same bits, and if not, from where on?

    python -m reconstruction_pipeline_tests.stages.poses.repeats KEYFRAMES [--times 30] [--busy 0] [--mapping-alone]

KEYFRAMES is the folder of a keyframes artifact. Prints how often each table of the database and each model came out
in which way; the exit status is 1 when anything came out in two ways.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.stages.poses.cameras import camera_groups
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.climb import first_try, map_job
from reconstruction_pipeline.stages.poses.rungs import ladder
from reconstruction_pipeline.stages.poses.settings import PoseSettings

MODEL_FILES = ("cameras.bin", "images.bin", "points3D.bin")
Digests = dict[str, str]


def attempt(keyframes: Keyframes, settings: PoseSettings, work: Path, level: int = 0, reuse: str | None = None) -> Any:
    """The worker's result for one rung, its database and models left in `work`."""
    groups = camera_groups(keyframes, settings)
    rung = ladder(settings, bool(keyframes.camera()["ordered"]), first_try(keyframes, settings))[level]
    child = ColmapChild(work, work / "colmap.log", NullProgress(), time.monotonic() + 3600.0)
    work.mkdir(parents=True)
    return child.run(map_job(keyframes, settings, groups, rung, work / "rung", reuse))


def digests(result: Any) -> Digests:
    """A hash of each table of the database (rows in the order of all their columns), and of each model."""
    found = {}
    with contextlib.closing(sqlite3.connect(result["database"])) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"):
            rows = sorted(repr(row) for row in connection.execute(f'SELECT * FROM "{table}"'))
            found[table] = _hash("\n".join(rows).encode())
    for index, model in enumerate(result["models"]):
        found[f"model {index}"] = _hash(*(Path(model["path"], name).read_bytes() for name in MODEL_FILES))
    return found


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """So many processes beside that never rest."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("keyframes", type=Path)
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--busy", type=int, default=0, help="busy loops beside")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--features", type=int, help="as chosen from the frames unless given")
    parser.add_argument("--level", type=int, default=0, help="rung of the ladder")
    parser.add_argument("--mapping-alone", action="store_true", help="features and matches of the first time for all")
    parser.add_argument("--keep", type=Path, help="leave what came out differently here")
    given = parser.parse_args()
    settings = PoseSettings(threads=given.threads, features=given.features)
    seen: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder, busy_loops(given.busy):
        reuse = None
        if given.mapping_alone:
            reuse = attempt(Keyframes(given.keyframes), settings, Path(folder, "first"), given.level)["database"]
        for number in range(given.times):
            before, work = _children_s(), Path(folder, f"{number:03d}")
            result = attempt(Keyframes(given.keyframes), settings, work, given.level, reuse)
            found, new = digests(result), []
            for what, digest in found.items():
                counter = seen.setdefault(what, Counter())
                new += [what] if digest not in counter and number else []
                counter[digest] += 1
            cpu = _children_s() - before
            print(f"{number:3d}  {cpu:6.1f} CPU s  {result['models'][:1]}  new: {new}", flush=True)
            if given.keep and (new or not number):
                shutil.copytree(work, given.keep / work.name, dirs_exist_ok=True)
            shutil.rmtree(work)
    for what, counter in seen.items():
        print(f"{what:22s} {len(counter)} way(s): {', '.join(f'{d} x{n}' for d, n in counter.most_common())}")
    return int(any(len(counter) > 1 or sum(counter.values()) != given.times for counter in seen.values()))


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
