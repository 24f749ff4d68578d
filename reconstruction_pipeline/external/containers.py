"""A program in a container, through Docker's own Python package; nothing is pulled and nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import Any

LABEL = "reconstruction-pipeline"
CGROUP_POLL_S = 1.0
REMOVALS, REMOVAL_POLL_S = 60, 0.2
HTTP_NOT_FOUND = 404


class ContainerRun:
    """A started container whose output goes to our standard output; it is removed when it has ended.

    `job`: `image`, `argv` (the first word replaces the image's entry point), `cwd`, `environment`, `binds` (as
    docker-py's volumes), `network`, `user` ("" for the image's), `name` of the program, and `kwargs` for `create`.
    """

    def __init__(self, job: dict[str, Any]) -> None:

        from docker.client import DockerClient
        from docker.types import LogConfig

        self._peak, self._ended = 0.0, threading.Event()
        client = DockerClient.from_env(timeout=60)
        client.ping()
        kwargs = dict(job["kwargs"])
        kwargs["labels"] = {**(kwargs.get("labels") or {}), LABEL: "external", f"{LABEL}.program": job["name"]}
        self._container = client.containers.create(
            job["image"],
            entrypoint=job["argv"][:1],
            command=job["argv"][1:],
            working_dir=job["cwd"],
            environment=job["environment"],
            volumes=job["binds"],
            network_mode=job["network"],
            user=job["user"] or None,
            # Docker must not keep a second copy of a flood.
            log_config=LogConfig(type="none"),
            **kwargs,
        )
        try:
            self._output = self._container.attach(stdout=True, stderr=True, stream=True, logs=False)
            self._container.start()
        except Exception:
            self._remove()
            raise
        threading.Thread(target=self._watch_memory, daemon=True).start()

    def ask(self) -> None:
        """SIGTERM for its first process."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and take it away."""
        self._signal(signal.SIGKILL)
        self._remove()

    def wait(self) -> dict[str, Any]:
        """Hand its output on until it ends; `oom` where the memory limit ended it."""
        try:
            with contextlib.suppress(BrokenPipeError):
                for chunk in self._output:
                    view = memoryview(chunk)
                    while view:
                        view = view[os.write(1, view) :]
            code = int(self._container.wait()["StatusCode"])
            self._container.reload()
            oom = bool(self._container.attrs["State"].get("OOMKilled"))
        finally:
            self._ended.set()
            self._remove()
        # As a shell counts: 128 and the signal that ended it.
        code = 128 - code if 128 < code < 128 + signal.NSIG else code
        return {"code": code, "oom": oom, "peak_mb": round(self._peak, 1) or None}

    def _signal(self, number: int) -> None:
        with contextlib.suppress(Exception):  # it may have ended by itself
            self._container.kill(signal=number)

    def _remove(self) -> None:
        """Until it is gone: somebody else may be removing it, which answers at once and takes a while."""
        for _ in range(REMOVALS):
            try:
                self._container.remove(force=True, v=True)
            except Exception as error:  # Docker may be busy, or away
                if getattr(error, "status_code", None) == HTTP_NOT_FOUND:
                    return
            time.sleep(REMOVAL_POLL_S)

    def _watch_memory(self) -> None:
        while not self._ended.wait(CGROUP_POLL_S):
            with contextlib.suppress(Exception):
                stats = self._container.client.api.stats(self._container.id, stream=False, one_shot=True)
                used = stats["memory_stats"]
                self._peak = max(self._peak, (used.get("max_usage") or used.get("usage") or 0) / 2**20)
