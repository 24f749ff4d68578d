"""How a program can fail, each in one sentence that ends with its last lines; and where its log is kept then."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.errors import MissingRequirement, StageFailed
from reconstruction_pipeline.external.output import TAIL_READ, last_lines
from reconstruction_pipeline.external.stage import ExternalStage

FAILED_LOGS = 5
"""Logs of failed attempts that are kept, for each stage of a video."""
DOCKER_LACKS = ("ImageNotFound", "DockerException", "ConnectionError", "APIError", "NotFound", "ModuleNotFoundError")


def failed(stage: ExternalStage, cause: str, last: str) -> StageFailed:
    """The error with `cause`, the rest of a sentence about the program, and its last lines."""
    where = f" Its whole log is kept in {stage.failed_logs}." if stage.failed_logs else ""
    return StageFailed(f"{stage.program.asset}: {stage.who} {cause}; its last lines: {last}.{where}")


def rejected(stage: ExternalStage, log: Path, cause: str) -> StageFailed:
    """The error for a result that our reader refuses, `cause` being what is wrong with it; the log is kept."""
    keep_log(stage, log)
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_READ))
        return failed(stage, cause, last_lines(file.read()))


def missing(stage: ExternalStage, what: str) -> MissingRequirement:
    """The error for something that this machine lacks."""
    program = stage.program
    advice = f"install it ({program.install})" if program.install else "install it"
    return MissingRequirement(f"{program.asset}: {what}; {advice}, or choose another program.")


def judge(stage: ExternalStage, ended: Mapping[str, Any], last: str) -> None:
    """Raise what the end of a command means (`watching.supervise`); returns when it ended well."""
    if reason := " ".join(str(ended.get("refused") or "").split()):
        if stage.program.run_in == "container" and ended["kind"] in DOCKER_LACKS:
            raise missing(stage, f"{stage.who} cannot be started in a container ({reason})")
        raise failed(stage, f"could not be started ({reason})", last)
    if ended.get("unexplained"):
        raise failed(stage, "was ended from outside", last)
    if ended.get("oom"):
        raise failed(stage, "was killed because its container's memory ran out", last)
    code = int(ended["code"])
    if code < 0:
        more = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
        raise failed(stage, f"was killed by {_signal_name(-code)}{more}", last)
    if code:
        raise failed(stage, f"ended with status {code}", last)


def keep_log(stage: ExternalStage, log: Path) -> None:
    """Copy the log of a failed attempt to where it outlives its workspace; the oldest make room."""
    if not stage.failed_logs or not log.is_file():
        return
    folder = Path(stage.failed_logs)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(log, folder / f"{stage.program.asset}-{time.time_ns()}.log")
    for old in sorted(folder.glob(f"{stage.program.asset}-*.log"))[:-FAILED_LOGS]:
        old.unlink(missing_ok=True)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
