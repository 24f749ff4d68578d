"""One command of a program from start to end, under a supervisor, with its output read as it comes."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# With -m, Python finds first what lies in the working directory: the supervisor runs the very code of ours.
PACKAGE_ROOT = Path(__file__).resolve().parents[2]
SUPERVISOR = "reconstruction_pipeline.external.supervisor"
POLL_S, TELL_S, DRAIN_S = 0.25, 0.1, 1.0
GRACE_S = 5.0
DOCKER_S = 20.0
"""What Docker may take to end and remove a container, on a busy machine."""
CHUNK = 1 << 18


class Late(Exception):
    """The deadline came before the end."""


def supervise(
    job: dict[str, Any], take: Callable[[bytes], None], tell: Callable[[], None], deadline: float
) -> dict[str, Any]:
    """How the command of `job` ended (`Run.wait`, or `refused`); `take` gets its output, `tell` is called often.

    Raises `Late` at `deadline` (monotonic), and whatever `tell` raises; nothing of it runs on in any case.
    """
    with tempfile.TemporaryDirectory(prefix="external-") as folder:
        order, status = Path(folder) / "job.json", Path(folder) / "status.json"
        order.write_text(json.dumps({**job, "grace_s": GRACE_S}))
        process = subprocess.Popen(
            [sys.executable, "-m", SUPERVISOR, str(order), str(status)],
            stdin=subprocess.PIPE,  # its end tells the supervisor that we are gone
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=PACKAGE_ROOT,
            start_new_session=True,
        )
        try:
            _read(process, take, tell, deadline)
            process.wait(DOCKER_S)
        finally:
            _end(process)
        if not status.exists():
            return {"code": process.returncode, "unexplained": True}
        ended: dict[str, Any] = json.loads(status.read_text())
        return ended


def _read(
    process: subprocess.Popen[bytes], take: Callable[[bytes], None], tell: Callable[[], None], deadline: float
) -> None:
    assert process.stdout
    output, told, gone = process.stdout.fileno(), 0.0, 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while True:
            now = time.monotonic()
            if now > deadline:
                raise Late
            if now - told >= TELL_S:
                told = now
                tell()
                # Something that the program left behind may hold its output open for ever.
                gone = gone or (now if process.poll() is not None else 0.0)
            if gone and now - gone > DRAIN_S:
                return
            if selector.select(POLL_S):
                if not (chunk := os.read(output, CHUNK)):
                    return
                take(chunk)
            elif gone:
                return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask, wait and kill, until neither the supervisor nor anything in its group is left."""
    try:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S + DOCKER_S)
    finally:
        assert process.stdin and process.stdout
        with contextlib.suppress(OSError):
            process.stdin.close()  # where it still lives, it kills what it started
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(DOCKER_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
