"""Runs one stage in a child process of its own.

A child gives an honest `peak_rss_mb`, returns its memory when the stage ends, can be stopped while it
is deep in native code, and cannot take Dagster's process down with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.progress import Progress

GRACE_SECONDS = 15.0
POLL_SECONDS = 0.25


@dataclass(frozen=True)
class StageCall:
    """`entry` is "module:function"; it is called as `function(*args, progress=..., **options)` in the child.

    It may take `limit_s` seconds of wall time, and gets `environment` on top of ours and, if there are any, only
    these `cores`.
    """

    entry: str
    args: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    limit_s: float = float("inf")
    environment: Mapping[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = ()


@dataclass(frozen=True)
class StageOutcome:
    """What the function returned, and the child's peak resident memory in MB."""

    value: Any
    peak_rss_mb: float


class TransientFailure(RuntimeError):
    """The child died from outside or met an I/O error; another attempt may succeed."""


def run_stage_process(call: StageCall, progress: Progress) -> StageOutcome:
    """Run the call to its end; progress reports arrive here and may cancel it by raising.

    So may the progress's method `check`, if it has one, which is called several times a second.

    The child's own output goes where ours goes: on a step, to its compute log.

    Raises the stage's own `ReconstructionError`, `TransientFailure` when the child was killed or met an
    `OSError`, and `StageFailed` for any other exception of the child (its traceback is on stderr) or when its
    time is up.
    """
    deadline = time.monotonic() + call.limit_s
    with tempfile.TemporaryDirectory(prefix="reconstruct-stage-") as folder:
        result_path = Path(folder) / "result"
        read_end, write_end = os.pipe()
        child = subprocess.Popen(
            [sys.executable, "-m", "reconstruction_pipeline.orchestration.stage_worker", str(write_end), result_path],
            stdin=subprocess.PIPE,
            pass_fds=[write_end],
            env={**os.environ, **call.environment},
            start_new_session=True,  # a terminal's Ctrl-C reaches only us; we stop the child in order
        )
        os.close(write_end)
        try:
            assert child.stdin is not None
            child.stdin.write(pickle.dumps(call))
            child.stdin.flush()  # kept open: its end tells the child that we are gone
            in_time = _forward_progress(read_end, progress, deadline) and _ends(child, deadline)
        finally:
            os.close(read_end)
            _stop(child)
        if not in_time:
            raise StageFailed(
                f"{call.entry.partition(':')[2]} was stopped after {call.limit_s / 60:.3g} minutes, its limit; choose a"
                " smaller preset, or raise time_limit_factor."
            )
        if not result_path.exists():
            raise TransientFailure(
                f"the process of {call.entry} ended without a result (exit status {child.returncode})."
            )
        outcome: StageOutcome | BaseException = pickle.loads(result_path.read_bytes())
    if isinstance(outcome, OSError):
        raise TransientFailure(f"{call.entry}: {outcome}") from outcome
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _forward_progress(read_end: int, progress: Progress, deadline: float) -> bool:
    """Pass reports on until the child closes its end; False when it has not by the deadline (monotonic seconds).

    Wakes often, so that signals are served.
    """
    buffer, check = b"", getattr(progress, "check", None)
    with selectors.DefaultSelector() as selector:
        selector.register(read_end, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if check:
                check()
            if not selector.select(POLL_SECONDS):
                continue
            if not (chunk := os.read(read_end, 65536)):
                return True
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                progress.report(*json.loads(line))
    return False


def _ends(child: subprocess.Popen[bytes], deadline: float) -> bool:
    """Whether the child, which reports no more, ends in time."""
    try:
        child.wait(None if deadline == float("inf") else max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Make sure that neither the child nor anything it started outlives us, a second Ctrl-C included."""
    try:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdin:
            with contextlib.suppress(OSError):
                child.stdin.close()


def unexpected(error: BaseException, trace: str) -> StageFailed:
    """An error nobody foresaw, as a sentence; the trace stays in the log."""
    print(trace, file=sys.stderr, flush=True)
    return StageFailed(
        f"unexpected {type(error).__name__}: {error}. This is a bug of the pipeline; the log has the traceback."
    )
