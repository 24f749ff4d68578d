"""Functions that tests run as stages in a child process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.progress import Progress


def add(first: int, second: int, progress: Progress) -> int:
    progress.report("adding", 1, 2, "half")
    progress.report("adding", 2, 2)
    print("a stage may print")
    return first + second


def allocate(megabytes: int, progress: Progress) -> int:
    return sum(bytearray(os.urandom(1) * (megabytes << 20))[:: 1 << 20])


def refuse(progress: Progress) -> None:
    raise InputRejected("clip.mp4: every frame is black; take the lens cap off.")


def crash(progress: Progress) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def bug(progress: Progress) -> None:
    raise KeyError("oops")


def disk_error(progress: Progress) -> None:
    raise OSError(5, "Input/output error")


def work_for_ever(pid_file: str, progress: Progress) -> None:
    """Starts a grandchild that ignores SIGTERM, as native tools may, and reports for ever."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    grandchild = subprocess.Popen([sys.executable, "-c", code])
    partial = Path(pid_file + ".partial")
    partial.write_text(f"{os.getpid()} {grandchild.pid}")
    partial.rename(pid_file)
    while True:
        progress.report("working", 0, 0)
        time.sleep(0.02)


def surroundings(progress: Progress) -> tuple[str, list[int], int]:
    """The card, the cores, and how many of them a stage's numerics would count."""
    import numba

    return os.environ["CUDA_VISIBLE_DEVICES"], sorted(os.sched_getaffinity(0)), int(numba.config.NUMBA_NUM_THREADS)


def hang(progress: Progress) -> None:
    """Reports once and then never again, deaf to polite requests, as native code may be."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    progress.report("hanging", 0, 1)
    time.sleep(600)


def dawdle(progress: Progress) -> None:
    """Works for ever, but ends when it is told to."""
    while True:
        progress.report("dawdling", 0, 0)
        time.sleep(0.02)
