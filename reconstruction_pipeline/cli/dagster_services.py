"""Dagster's webserver, daemon and code server for this project: at most one set per instance.

Two daemons on one instance would start runs twice. Whoever starts them holds a lock beside the instance for as long as
they live (the descriptor is inherited), and writes the address into it for whoever comes second.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import MissingRequirement
from reconstruction_pipeline.settings import Settings, use_dagster_home, workspace_file

LOCK = ".services.lock"
STOP_SECONDS = 45.0
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Claim:
    """The lock of an instance: `descriptor` while it is ours, None while it is another's who serves at `url`."""

    descriptor: int | None
    url: str


def claim(settings: Settings, url: str) -> Claim:
    """Prepare the instance and take its lock, or say who has it."""
    from reconstruction_pipeline.orchestration.instance import open_instance

    use_dagster_home(settings)
    if settings.uploads_are_local:
        Path(settings.uploads).mkdir(parents=True, exist_ok=True)
    descriptor = os.open(settings.dagster_home / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with os.fdopen(descriptor) as file:
            return Claim(None, _url_in(file.read()))
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps({"url": url}).encode())
    os.set_inheritable(descriptor, True)
    with open_instance():
        pass  # its tables are there before three services look for them at once
    return Claim(descriptor, url)


def command(host: str, port: int) -> list[str]:
    """The program that starts all three."""
    beside = Path(sys.executable).with_name("dagster")
    program = str(beside) if beside.exists() else shutil.which("dagster")
    if program is None:
        raise MissingRequirement("the program 'dagster' is not installed beside Python; run 'make setup'.")
    return [program, "dev", "-w", str(workspace_file()), "-h", host, "-p", str(port)]


def start(settings: Settings, held: Claim, host: str, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start them as a child whose output goes to a file; Ctrl-C of our terminal does not reach it."""
    assert held.descriptor is not None
    with log.open("wb") as output:
        return subprocess.Popen(
            command(host, port),
            cwd=settings.dagster_home,  # away from any project file that Dagster would prefer
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_follow_parent,
            pass_fds=[held.descriptor],
            env={**os.environ, "PYTHONWARNINGS": "ignore:Function `dev_command` is superseded"},
        )


def _follow_parent() -> None:
    """In the child: end in order when the parent is gone, however it went (on Linux)."""
    # A shell starts background jobs with SIGINT ignored; Dagster would then ignore SIGTERM too and never end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End them in order. Runs are processes of their own, and go on: their code server stays until they end."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _url_in(text: str) -> str:
    try:
        return str(json.loads(text)["url"])
    except (ValueError, KeyError, TypeError):
        return ""
