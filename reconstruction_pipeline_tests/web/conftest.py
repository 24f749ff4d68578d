"""The application in this process, over a real instance whose runs are executed here with canned stages."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from starlette.testclient import TestClient

from reconstruction_pipeline.definitions import defs
from reconstruction_pipeline.orchestration.names import JOB, RETIRE_JOB
from reconstruction_pipeline.orchestration.runs import PARTITION_TAG
from reconstruction_pipeline.settings import Settings, Web, load_settings
from reconstruction_pipeline.web.app import make_app
from reconstruction_pipeline_tests.orchestration.canned import CannedStages
from reconstruction_pipeline_tests.orchestration.conftest import (  # noqa: F401
    home,
    instances_need_not_survive_a_power_cut,
    stages,
    storage,
)
from reconstruction_pipeline_tests.stages.captures import sliding_frames, write_video

BASE = "http://127.0.0.1:8000"
QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


@dataclass
class HereLauncher:
    """Executes what the web asks for in this process: in the place of Dagster's webserver, queue and run worker.

    `hold` leaves runs in the queue; `aside` executes them in a thread. Only `assets` are made; the whole line takes
    five seconds even with canned stages.
    """

    instance: dg.DagsterInstance
    ready: bool = True
    hold: bool = False
    aside: bool = False
    assets: tuple[str, ...] = ("source_video", "keyframes")
    threads: list[threading.Thread] = field(default_factory=list)

    def is_ready(self) -> bool:
        return self.ready

    def reconstruct(self, key: str, preset: str) -> str:
        return self._launch(JOB, key, {"resources": {"pipeline": {"config": {"preset": preset}}}})

    def retire(self, key: str) -> str:
        return self._launch(RETIRE_JOB, key, {})

    def cancel(self, run_id: str) -> None:
        run = self.instance.get_run_by_id(run_id)
        assert run
        self.instance.report_run_canceled(run)

    def _launch(self, name: str, key: str, config: dict[str, Any]) -> str:
        job, run_id = defs.get_repository_def().get_job(name), str(uuid.uuid4())
        config = {**config, "loggers": QUIET}
        if self.hold:
            tags, status = {PARTITION_TAG: key}, dg.DagsterRunStatus.NOT_STARTED
            run = self.instance.create_run_for_job(job, run_id=run_id, run_config=config, tags=tags, status=status)
            return run.run_id
        work = threading.Thread(
            target=job.execute_in_process,
            kwargs={
                "instance": self.instance,
                "partition_key": key,
                "run_config": config,
                "raise_on_error": False,
                "run_id": run_id,
                **({"asset_selection": [dg.AssetKey(asset) for asset in self.assets]} if name == JOB else {}),
            },
        )
        work.start()
        self.threads.append(work)
        if not self.aside:
            work.join()
        return run_id


@dataclass
class Served:
    """The application, what it stands on, and a client."""

    client: TestClient
    launcher: HereLauncher
    settings: Settings
    instance: dg.DagsterInstance

    def again(self) -> TestClient:
        """A client of a new application over the same instance and folders: the server after a restart."""
        return TestClient(make_app(self.settings, self.instance, self.launcher), base_url=BASE)

    def kept(self) -> list[Path]:
        """Files in the folder of arrivals."""
        return sorted(path for path in (Path(self.settings.uploads) / ".web").rglob("*") if path.is_file())

    def send(self, path: Path, **fields: str) -> Any:
        with path.open("rb") as file:
            return self.client.post("/api/videos", files={"file": (path.name, file)}, data=fields)


def serve_here(instance: dg.DagsterInstance, **web: Any) -> Served:
    settings = load_settings()
    settings = replace(settings, web=Web(**web), operation=replace(settings.operation, min_free_gb=0.0))
    launcher = HereLauncher(instance)
    return Served(TestClient(make_app(settings, instance, launcher), base_url=BASE), launcher, settings, instance)


@pytest.fixture
def served(storage: Path, stages: CannedStages) -> Iterator[Served]:  # noqa: F811
    with dg.DagsterInstance.ephemeral() as instance:
        made = serve_here(instance)
        with made.client:
            yield made


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "Garden walk.mp4", sliding_frames(30, 96, 64))
