"""`reconstruct serve` as a process of its own, with its own storage and a real Dagster behind it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
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

from reconstruction_pipeline_tests.orchestration.ui_server import free_port


@dataclass
class Serve:
    """The server; `stop` and `start` again keep ports and storage."""

    root: Path
    port: int
    dagster_port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def uploads(self) -> Path:
        return self.root / "uploads"

    def start(self, seconds: float = 240) -> None:
        command = [sys.executable, "-m", "reconstruction_pipeline.cli", "serve"]
        command += ["--port", str(self.port), "--dagster-port", str(self.dagster_port)]
        with (self.root / "serve.log").open("a") as log:
            self.process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        deadline = time.monotonic() + seconds
        while True:
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                if self.ask("/health") == {"status": "healthy"}:
                    return
            time.sleep(0.5)

    def stop(self, number: int = signal.SIGINT) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(90)

    def log(self) -> str:
        texts = [
            path.read_text() for path in (self.root / "serve.log", self.root / "home/services.log") if path.exists()
        ]
        return "\n---\n".join(text[-3000:] for text in texts)

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def send(self, video: Path, preset: str = "fastest") -> str:
        """The key of a video that is sent in with curl's kind of form."""
        boundary = b"1f8ac2"
        body = b'--%s\r\nContent-Disposition: form-data; name="preset"\r\n\r\n%s\r\n' % (boundary, preset.encode())
        body += b'--%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n' % (
            boundary,
            video.name.encode(),
        )
        body += video.read_bytes() + b"\r\n--%s--\r\n" % boundary
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}
        request = urllib.request.Request(self.url + "/api/videos", body, headers)
        for _ in range(20):
            try:
                with urllib.request.urlopen(request, timeout=300) as answer:
                    key: str = json.load(answer)["key"]
                return key
            except urllib.error.HTTPError as error:  # a machine under load: as a client would, we come again
                assert error.code == 503, error.read()
                time.sleep(float(error.headers["Retry-After"]))
        raise AssertionError(self.log())

    def wait(self, key: str, *states: str, stage: str = "", seconds: float = 1200) -> dict[str, Any]:
        """The video once it is in one of the states (and in the stage)."""
        deadline = time.monotonic() + seconds
        while True:
            found: dict[str, Any] = self.ask(f"/api/videos/{key}")
            if found["state"] in states and stage in ("", found["stage"]):
                return found
            assert time.monotonic() < deadline, (found, self.log())
            time.sleep(0.5)

    def processes(self) -> list[int]:
        """Every process of this storage: the server's, Dagster's, the runs'."""
        mark, found = f"DAGSTER_HOME={self.root / 'home'}".encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def kill_everything(self) -> None:
        """As when the power fails."""
        while found := self.processes():
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self.process:
                self.process.wait()
            time.sleep(0.2)


@contextmanager
def serving(root: Path, **variables: str) -> Iterator[Serve]:
    """A running server; nothing of it is left afterwards."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RECONSTRUCTION_")},
        "RECONSTRUCTION_STORAGE": str(root / "storage"),
        "RECONSTRUCTION_UPLOADS": str(root / "uploads"),
        "RECONSTRUCTION_SCRATCH": str(root / "scratch"),
        "RECONSTRUCTION_MIN_FREE_GB": "1",
        "DAGSTER_HOME": str(root / "home"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        **variables,
    }
    server = Serve(root, free_port(), free_port(), environment)
    try:
        server.start()
        yield server
    finally:
        server.kill_everything()
