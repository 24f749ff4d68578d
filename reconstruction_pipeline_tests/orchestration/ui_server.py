"""`reconstruct ui` as a process of its own, talked to as a browser does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCATION = {"repositoryLocationName": "reconstruction_pipeline", "repositoryName": "__repository__"}
ENDED = ("SUCCESS", "FAILURE", "CANCELED")


@dataclass(frozen=True)
class UiServer:
    """A running UI."""

    url: str
    log: Path

    def graphql(self, query: str, **variables: Any) -> Any:
        """The `data` of an answer; fails on any error in it."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=180) as answer:
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def wait_for_run(self, run_id: str, seconds: float = 180) -> str:
        """The status of a run once it has ended."""
        query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
        deadline = time.monotonic() + seconds
        status = ""
        while status not in ENDED:
            assert time.monotonic() < deadline, f"run {run_id} is still {status}:\n{self.log.read_text()[-3000:]}"
            time.sleep(1)
            status = self.graphql(query, id=run_id)["runOrError"]["status"]
        return status


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_ui(log: Path, environment: dict[str, str], seconds: float = 180) -> Iterator[UiServer]:
    """Start it, wait until it answers and has loaded the code, and stop it by SIGINT, as Ctrl-C does.

    It must end by itself after that; whatever it started is gone afterwards in any case.
    """
    port = free_port()
    command = [sys.executable, "-m", "reconstruction_pipeline.cli", "ui", "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    server = UiServer(f"http://127.0.0.1:{port}", log)
    try:
        _wait_until_loaded(server, process, seconds)
        yield server
        process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_loaded(server: UiServer, process: subprocess.Popen[bytes], seconds: float) -> None:
    query = "query($at: RepositorySelector!) { repositoryOrError(repositorySelector: $at) { __typename } }"
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, server.log.read_text()
        assert time.monotonic() < deadline, server.log.read_text()
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            if server.graphql(query, at=LOCATION)["repositoryOrError"]["__typename"] == "Repository":
                return
        time.sleep(0.5)
