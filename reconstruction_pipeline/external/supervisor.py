"""The process beside a program: it starts it, tells how it ended, and does not let it live on alone.

    python -m reconstruction_pipeline.external.supervisor JOB.json STATUS.json

It leads a process group of its own, in which the program and its children run; a program in a container is stopped
through Docker. What the program prints goes to standard output. SIGTERM asks it to end, and kills it after
`grace_s`. The end of standard input means that whoever waits is gone: then the program is killed at once.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Protocol


class Run(Protocol):
    """A started program."""

    def ask(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""

    def wait(self) -> dict[str, Any]:
        """How it ended: `code` (negative for a signal), and `peak_mb` where that is known."""


class ProcessRun:
    """A program in a process of this machine."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._child = subprocess.Popen(
            job["argv"], cwd=job["cwd"], env=job["environment"], stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )

    def ask(self) -> None:
        """SIGTERM for the whole group; we hear it, too, and have been asked already."""
        os.killpg(0, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL for the whole group, us included."""
        os.killpg(0, signal.SIGKILL)

    def wait(self) -> dict[str, Any]:
        """The exit status, and the peak of the largest of its processes."""
        code = self._child.wait()
        return {"code": code, "peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}


def start(job: dict[str, Any]) -> Run:
    """Start the program of a job; raises OSError, or what Docker raises."""
    if job["kind"] == "container":
        from reconstruction_pipeline.external.containers import ContainerRun

        return ContainerRun(job)
    return ProcessRun(job)


def main() -> int:
    """Run one job; 0 when its end could be told, whatever it was."""
    status = Path(sys.argv[2])
    job = json.loads(Path(sys.argv[1]).read_text())
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        run = start(job)
    except Exception as error:  # whatever it is, the parent makes the sentence
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        _tell(status, {"refused": f"{reason}", "kind": type(error).__name__})
        return 0
    threading.Thread(target=_end_with_parent, args=(run,), daemon=True).start()
    threading.Thread(target=_end_when_asked, args=(run, asked, job["grace_s"]), daemon=True).start()
    # In a thread, so that this one stays free to notice signals.
    ended: dict[str, Any] = {}
    waiter = threading.Thread(target=lambda: ended.update(run.wait()), daemon=True)
    waiter.start()
    while waiter.is_alive():
        waiter.join(0.5)
    _tell(status, ended)
    sys.stdout.flush()
    os._exit(0)  # the threads have nothing left to do


def _tell(status: Path, ended: dict[str, Any]) -> None:
    partial = status.with_suffix(".partial")
    partial.write_text(json.dumps(ended))
    partial.replace(status)


def _end_with_parent(run: Run) -> None:
    sys.stdin.buffer.read()
    run.kill()
    os._exit(1)


def _end_when_asked(run: Run, asked: threading.Event, grace_s: float) -> None:
    asked.wait()
    run.ask()
    threading.Event().wait(grace_s)
    run.kill()


if __name__ == "__main__":
    sys.exit(main())
