"""Running an external stage: from files we made for it to files it left, with its whole log."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.errors import ReconstructionError, StageFailed
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.external.failures import failed, judge, keep_log
from reconstruction_pipeline.external.filling import Values, filled
from reconstruction_pipeline.external.jobs import job_of
from reconstruction_pipeline.external.output import KeptLog, Watcher
from reconstruction_pipeline.external.pipes import PipesChannel
from reconstruction_pipeline.external.results import find_results, newest
from reconstruction_pipeline.external.stage import ExternalStage, Outcome
from reconstruction_pipeline.external.watching import Late, supervise

LOG = "external.log"


def run_external(
    stage: ExternalStage,
    inputs: Mapping[str, Path],
    values: Mapping[str, Any],
    work: Path,
    log: Path,
    progress: Progress,
    deadline: float = float("inf"),
) -> Outcome:
    """Run the program in `work`, whose `output` folder takes its results; `inputs` must lie in `work`.

    `values` are those of `formats.VALUES`; None is without a value. `deadline` is monotonic; the descriptor's own
    limit holds as well. What it prints goes to `log`. Raises `StageFailed` when it fails, hangs, dies or leaves no
    result, `MissingRequirement` when it (or Docker, or its image) is not here, `UsageError` for a word without a
    value, and what `progress` raises.
    """
    program, work = stage.program, work.resolve()
    output = work / "output"
    checkpoint = newest(output, program.resume.checkpoint) if program.resume else None
    if checkpoint is None:
        shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    known = _known(stage, inputs, values, work)
    known["checkpoint"] = str(checkpoint) if checkpoint else None
    kept, watcher = KeptLog(log, int(program.log_limit_mb * 2**20)), Watcher(program.watch, known)
    started, began = time.monotonic(), time.time()
    run = _Run(stage, known, work, kept, watcher, progress, min(deadline, started + 60 * program.time_limit_minutes))
    try:
        try:
            for number, command in enumerate(program.commands):
                words = filled(command, known)
                if checkpoint and program.resume and number == 0:
                    words += filled(program.resume.argv, known)
                run.command(words, number)
            watcher.end()
            # What an interrupted attempt left is a state to go on from, and no result.
            results = run.results(output, since=began if checkpoint else 0.0)
        finally:
            kept.close()
    except ReconstructionError:
        keep_log(stage, log)
        raise
    seconds = time.monotonic() - started
    went_on = checkpoint.name if checkpoint else ""
    reported, curve = dict(watcher.metrics), tuple(watcher.curve)
    return Outcome(results, reported, curve, seconds, run.peak_mb, kept.bytes, kept.left_out, went_on)


def _known(
    stage: ExternalStage, inputs: Mapping[str, Path], values: Mapping[str, Any], work: Path
) -> dict[str, str | None]:
    """Placeholders; those of the descriptor win over the run's."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        **{name: None if value is None else f"{value}" for name, value in values.items()},
        **stage.program.parameters,
        **{name: str(path.resolve()) for name, path in inputs.items()},
        "output": str(work / "output"),
        "work": str(work),
        "threads": str(cores),
    }


@dataclass
class _Run:
    """The commands of one program, one after the other."""

    stage: ExternalStage
    values: Values
    work: Path
    log: KeptLog
    watcher: Watcher
    progress: Progress
    deadline: float
    peak_mb: float | None = None

    def command(self, words: list[str], number: int) -> None:
        """Run the program's command of that number to its good end."""
        program, count = self.stage.program, len(self.stage.program.commands)
        self.watcher.share = 0.0
        job = job_of(self.stage, words, self.values, self.work)
        pipes = PipesChannel(self.work / "pipes", program.asset, self.values) if program.pipes else None
        if pipes:
            job["environment"] |= pipes.environment()
        self.log.write(f"$ {' '.join(words)}\n".encode())

        def take(chunk: bytes) -> None:
            self.log.write(chunk)
            self.watcher.feed(chunk)

        def tell() -> None:
            if pipes:
                pipes.poll(self.log, self.watcher)
            share = (number + self.watcher.share) / count
            self.progress.report(program.asset, share, 1.0, f"{program.name}: {self.watcher.line}"[:120])

        try:
            ended = supervise(job, take, tell, self.deadline)
        except Late:
            raise self._failed("did not end within its time limit") from None
        if pipes:
            pipes.poll(self.log, self.watcher)
        if peak := ended.get("peak_mb"):
            self.peak_mb = round(max(self.peak_mb or 0.0, float(peak)), 1)
        judge(self.stage, ended, self.log.last_lines())

    def results(self, output: Path, since: float) -> dict[str, Path]:
        """What it left, by format; an end without a result is a failure, whatever its exit status."""
        try:
            return find_results(output, self.stage.program.writes, since)
        except StageFailed as error:
            raise self._failed(f"ended well but {error}") from error

    def _failed(self, cause: str) -> StageFailed:
        return failed(self.stage, cause, self.log.last_lines())
