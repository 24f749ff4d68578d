"""The child's side of `stage_process`: reads one call, runs it, leaves its result. Knows no Dagster."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import resource
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.errors import Cancelled, ReconstructionError
from reconstruction_pipeline.orchestration.stage_process import StageCall, StageOutcome, unexpected

REPORT_SECONDS = 0.1


class PipeProgress:
    """Writes reports as JSON lines, at most ten a second; raises `Cancelled` after SIGTERM or when nobody listens."""

    def __init__(self, descriptor: int) -> None:
        self._pipe = os.fdopen(descriptor, "w", buffering=1)
        self._cancelled = threading.Event()
        self._last = ("", 0.0)
        signal.signal(signal.SIGTERM, lambda *_: self._cancelled.set())

    def report(self, stage: str, done: float, total: float, note: str = "") -> None:
        """Send a report to the parent."""
        if self._cancelled.is_set():
            raise Cancelled(f"{stage}: interrupted")
        now = time.monotonic()
        last_stage, last_time = self._last
        if stage != last_stage or done >= total or now - last_time >= REPORT_SECONDS:
            self._last = (stage, now)
            try:
                self._pipe.write(json.dumps([stage, float(done), float(total), note]) + "\n")
            except BrokenPipeError as error:  # the parent hangs up a moment before it sends SIGTERM
                raise Cancelled(f"{stage}: interrupted") from error


def peak_rss_mb() -> float:
    """Peak resident memory of this process or of its largest child, MB.

    `VmHWM` and not `ru_maxrss`, which a new program inherits from the process that forked it.
    """
    own = 0.0
    status = Path("/proc/self/status")
    if status.exists():
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        own = int(line.split()[1]) / 1024
    else:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)


def run(call: StageCall, progress: PipeProgress) -> StageOutcome | BaseException:
    """The stage's outcome, or the error that ended it."""
    try:
        module, _, function = call.entry.partition(":")
        value = getattr(importlib.import_module(module), function)(*call.args, progress=progress, **call.options)
        return StageOutcome(value, round(peak_rss_mb(), 1))
    except (ReconstructionError, OSError) as error:
        traceback.print_exc()
        return error
    except Exception as error:
        return unexpected(error, traceback.format_exc())


def _die_with_parent(stdin: Any) -> None:
    stdin.read()
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Entry of `python -m reconstruction_pipeline.orchestration.stage_worker PROGRESS_FD RESULT_PATH`."""
    progress = PipeProgress(int(sys.argv[1]))
    call: StageCall = pickle.load(sys.stdin.buffer)
    if call.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, call.cores)  # before numba and BLAS count them
    threading.Thread(target=_die_with_parent, args=(sys.stdin.buffer,), daemon=True).start()
    outcome = run(call, progress)
    result = Path(sys.argv[2])
    partial = result.with_suffix(".partial")
    partial.write_bytes(pickle.dumps(outcome))
    partial.replace(result)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # native libraries' exit handlers have nothing to add, and some of them hang


if __name__ == "__main__":
    main()
