"""Processes that tests start, kill, freeze and start again; and the servers a deployment needs beside Dagster."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from reconstruction_pipeline_tests.orchestration.site.gate import Gate
from reconstruction_pipeline_tests.orchestration.ui_server import free_port

NOBODY = "nobody"


def wait_until(what: Callable[[], object], seconds: float, told: Callable[[], str] = str, every: float = 0.1) -> None:
    """Return when `what()`, asked every so many seconds, is true; fails with `told()` when it is not in time."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {told()}"
        time.sleep(every)


def answers(port: int) -> bool:
    """Whether somebody accepts connections on a port of the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Server:
    """A process with a log, that can be ended in every way and started again."""

    name: str
    command: Sequence[object]
    environment: Mapping[str, str]
    log: Path
    ready: Callable[[], bool]
    as_user: str | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self, seconds: float = 300) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(part) for part in self.command],
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
                **self.identity(),
            )
        wait_until(lambda: self._alive() and self.ready(), seconds, self.tail)

    def identity(self) -> dict[str, Any]:
        """Arguments of `subprocess` that make it somebody else."""
        if not self.as_user:
            return {}
        who = pwd.getpwnam(self.as_user)
        return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}

    def _alive(self) -> bool:
        assert self.process and self.process.poll() is None, f"{self.name} ended:\n{self.tail()}"
        return True

    def tail(self) -> str:
        """The end of its log."""
        return f"{self.name}:\n" + self.log.read_text(errors="replace")[-3000:]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to this process alone; what it started lives on."""
        self.send(signal.SIGKILL)
        assert self.process
        self.process.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30) -> None:
        """End it, in order if it will; then whatever it started that is still in its session."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGCONT)
                self.process.send_signal(number)
            self.process.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


def postgres_program(name: str) -> str | None:
    """A program of PostgreSQL: where Debian puts it, or on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def why_no_postgres() -> str:
    """Why no PostgreSQL can be started here; empty if one can."""
    return "" if postgres_program("initdb") else "PostgreSQL is not installed (apt-get install postgresql)"


@contextmanager
def running_postgres() -> Iterator[tuple[Server, int]]:
    """A new, empty PostgreSQL and its port on the loopback address; all of it goes afterwards.

    It refuses to be root, so that it is `nobody` where we are.
    """
    user = NOBODY if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))  # a socket's path must be short
    if user:
        shutil.chown(folder, user)
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)}
    initdb = [postgres_program("initdb"), "-D", folder / "data", "-U", "dagster", "-A", "trust", "-E", "UTF8", "-N"]
    command = [postgres_program("postgres"), "-D", folder / "data", "-p", port, "-k", folder]
    command += ["-c", "listen_addresses=127.0.0.1"]
    with tempfile.NamedTemporaryFile(prefix="postgres-", suffix=".log") as log:
        server = Server("postgres", command, environment, Path(log.name), lambda: answers(port), user)
        try:
            who = server.identity()
            subprocess.run(map(str, initdb), env=environment, check=True, capture_output=True, cwd="/", **who)
            server.start()
            yield server, port
        finally:
            server.stop(signal.SIGINT)
            shutil.rmtree(folder, ignore_errors=True)


def postgres_storage(port: int) -> dict[str, Any]:
    """Dagster's storage in that server, in the words of `docker/dagster.yaml`, which only the server's own differ."""
    deployed = yaml.safe_load((Path(__file__).resolve().parents[3] / "docker" / "dagster.yaml").read_text())
    given = {"hostname": "127.0.0.1", "username": "dagster", "password": "", "db_name": "postgres", "port": port}
    return {"postgres": {"postgres_db": {**deployed["storage"]["postgres"]["postgres_db"], **given}}}


@contextmanager
def running_bucket(folder: Path) -> Iterator[tuple[Server, Gate, dict[str, str]]]:
    """An S3-compatible server (moto) in a process of its own, the gate before it, and the variables that lead there."""
    port = free_port()
    code = "import sys; from moto.server import main; main(['-H', '127.0.0.1', '-p', sys.argv[1]])"
    command = [sys.executable, "-c", code, str(port)]
    server = Server("bucket", command, dict(os.environ), folder / "bucket.log", lambda: answers(port))
    server.start()
    gate = Gate(port)
    gate.start()
    try:
        yield (
            server,
            gate,
            {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{gate.port}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
            },
        )
    finally:
        gate.end()
        server.stop()
