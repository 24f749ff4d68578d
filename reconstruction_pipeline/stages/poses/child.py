"""Running COLMAP's child process: messages in, progress out, and a clear end whatever happens to it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.progress import Progress

WORKER = "reconstruction_pipeline.stages.poses.colmap_worker"
# With -m, Python finds first what lies in the working directory: the child runs the very code of the parent.
PACKAGE_ROOT = Path(__file__).resolve().parents[3]
POLL_S = 0.25
# Libraries below COLMAP and NumPy get one thread each: COLMAP's own threads are as many as the job says, and a product
# of matrices shared by several more is slower (they wait for each other), and need not come out the same every time.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
LAST_LINES, LAST_BYTES = 5, 4000
# How long a child that has closed its end may take to be gone.
GRACE_S = 30.0
# (where the phase begins, how long it is) on a scale of 0 to 1, and the rows that count its finished units.
PHASES: dict[str, tuple[float, float, str]] = {
    "features": (0.0, 0.4, "descriptors"),
    "matching": (0.4, 0.25, "two_view_geometries"),
    "mapping": (0.65, 0.3, ""),
    "undistorting": (0.95, 0.05, ""),
}


@dataclass
class ColmapChild:
    """Runs worker jobs one after the other; `work` is a scratch folder, `log` collects what COLMAP prints.

    `deadline` is a `time.monotonic()` value shared by all jobs. `peak_rss_mb` is the largest of the children.
    `worker` is the module that does the jobs, `phases` what it reports, `stage` whose work it is.
    """

    work: Path
    log: Path
    progress: Progress
    deadline: float
    peak_rss_mb: float = 0.0
    worker: str = WORKER
    stage: str = "camera_poses"
    phases: dict[str, tuple[float, float, str]] = field(default_factory=lambda: PHASES)
    _phase: tuple[str, int, int] = field(default=("features", 0, 1))

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """The result of one job. Raises `StageFailed` with the last log lines when the child fails, dies or is
        late, and whatever `progress` raises; the child is gone in each case.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        path = self.work / f"{job['task']}.json"
        path.write_text(json.dumps(job))
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", self.worker, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=PACKAGE_ROOT,
                env=os.environ | ONE_THREAD,
            )
        lines: queue.Queue[bytes | None] = queue.Queue()
        assert process.stdout
        threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True).start()
        try:
            return self._follow(process, lines, job)
        finally:
            _stop(process)

    def _follow(
        self, process: subprocess.Popen[bytes], lines: queue.Queue[bytes | None], job: dict[str, Any]
    ) -> dict[str, Any]:
        result, failure = None, ""
        while True:
            if time.monotonic() > self.deadline:
                raise StageFailed(
                    f"{self.stage}: COLMAP's process did not finish within its time limit; use fewer or smaller"
                    f" keyframes; its last lines: {self._tail()}."
                )
            try:
                line = lines.get(timeout=POLL_S)
            except queue.Empty:
                self._report(Path(job["work"]) if "work" in job else None)
                continue
            if line is None:
                break
            message = json.loads(line)
            if message["event"] == "phase":
                self._phase = (message["phase"], 0, max(int(message["total"]), 1))
            elif message["event"] == "registered":
                self._phase = (self._phase[0], message["count"], self._phase[2])
            elif message["event"] == "error":
                failure = message["message"]
            elif message["event"] == "result":
                result = message
            self._report(None)
        if result is None:
            raise StageFailed(self._why(_status(process), failure))
        self.peak_rss_mb = max(self.peak_rss_mb, float(result["peak_rss_mb"]))
        return result

    def _report(self, work: Path | None) -> None:
        name, done, total = self._phase
        start, length, table = self.phases[name]
        if work and table:
            done = count_rows(work / "database.db", table)
            self._phase = (name, done, total)
        share = start + length * min(done / total, 1.0)
        self.progress.report(self.stage, share, 1.0, f"{name} {min(done, total)}/{total}")

    def _why(self, code: int | None, failure: str) -> str:
        if failure:
            cause = f"failed ({failure})"
        elif code is None:
            cause = "fell silent without a result"
        elif code < 0:
            cause = f"was killed by {_signal_name(-code)}"
        else:
            cause = f"ended with status {code}"
        if code == -signal.SIGKILL:
            cause += ", as the system does when memory runs out"
        return f"{self.stage}: COLMAP's process {cause}; its last lines: {self._tail()}."

    def _tail(self) -> str:
        with self.log.open("rb") as log:
            log.seek(max(self.log.stat().st_size - LAST_BYTES, 0))
            lines = log.read().decode(errors="replace").splitlines()
        return " | ".join([line.strip() for line in lines if line.strip()][-LAST_LINES:]) or "none"


def count_rows(database: Path, table: str) -> int:
    """Rows of a COLMAP database that another process may be writing; 0 while that cannot be known."""
    with contextlib.suppress(sqlite3.Error):
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=0.05)
        with contextlib.closing(connection):
            return int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
    return 0


def _pump(stream: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _status(process: subprocess.Popen[bytes]) -> int | None:
    """The exit status of a child that has said its last word; None when it does not end."""
    try:
        return process.wait(timeout=GRACE_S)
    except subprocess.TimeoutExpired:
        return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
    if process.stdin:
        process.stdin.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
