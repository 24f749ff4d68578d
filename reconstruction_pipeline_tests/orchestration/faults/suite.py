"""Every fault, and the places that they are done to, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from reconstruction_pipeline_tests.orchestration.faults import containers, processes, services, storing, training
from reconstruction_pipeline_tests.orchestration.faults.table import Fault
from reconstruction_pipeline_tests.orchestration.hardware import engine
from reconstruction_pipeline_tests.orchestration.site.contained import contained
from reconstruction_pipeline_tests.orchestration.site.deployment import deployment
from reconstruction_pipeline_tests.orchestration.site.servers import why_no_postgres

FILES = (
    training.kill_training_process,
    storing.kill_storing,
    storing.two_writers,
    storing.damage_artifacts,
    storing.fill_disk,
)
PROCESSES = (
    processes.kill_workers,
    processes.kill_code_server,
    processes.short_of_memory,
    processes.same_video_twice,
    processes.out_of_time,
    processes.kill_daemon,
    processes.two_daemons,
    training.cancel_training,  # trains really from here on
    training.kill_training,
)
SERVICES = (services.failing_bucket, services.stalled_bucket, services.restart_postgres)
CONTAINERS = (
    containers.route,  # first: the others go on with its video
    containers.kill_step_container,
    containers.out_of_memory,
    containers.kill_run_container,
    containers.terminate,
)
KINDS = {"files": FILES, "processes": PROCESSES, "services": SERVICES, "containers": CONTAINERS}
FAULTS = tuple(Fault(act.__name__, where, act) for where, acts in KINDS.items() for act in acts)


class Places:
    """A folder of its own for every fault of files, and one deployment for all faults of a kind."""

    def __init__(self, root: Path) -> None:
        self._root, self._stack = root, ExitStack()
        self._made: dict[str, Any] = {}
        self._makers: dict[str, Callable[[], Any]] = {
            "processes": self._local,
            "services": self._far,
            "containers": self._contained,
        }

    def __enter__(self) -> Places:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, fault: Fault) -> Any:
        """Where the fault is done; skips where it cannot be made here."""
        if fault.where == "files":
            folder = self._root / fault.name
            folder.mkdir()
            return folder
        if fault.where not in self._made:
            self._stack.close()  # one deployment at a time is load enough
            self._made = {fault.where: self._makers[fault.where]()}
        return self._made[fault.where]

    def _local(self) -> Any:
        return self._stack.enter_context(deployment(self._root / "local"))

    def _contained(self) -> Any:
        if reason := engine.why_not():
            pytest.skip(reason)
        try:
            return self._stack.enter_context(contained(self._root / "contained"))
        except engine.CannotStart as error:
            pytest.skip(str(error))

    def _far(self) -> Any:
        if reason := why_no_postgres():
            pytest.skip(reason)
        return self._stack.enter_context(deployment(self._root / "far", postgres=True, bucket=True))
