"""A deployment as the compose file has it, of processes of this machine: code server, daemon and web server.

It may keep its instance in PostgreSQL and its storage in a bucket; stages are those of `location`.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.orchestration.catalog import Catalog, Entry
from reconstruction_pipeline.orchestration.names import GPU_POOL, JOB, STAGES, VIDEOS
from reconstruction_pipeline.settings import instance_config
from reconstruction_pipeline_tests.orchestration.site.gate import Gate
from reconstruction_pipeline_tests.orchestration.site.servers import (
    Server,
    answers,
    postgres_storage,
    running_bucket,
    running_postgres,
    wait_until,
)
from reconstruction_pipeline_tests.orchestration.ui_server import ENDED, LOCATION, UiServer, free_port
from reconstruction_pipeline_tests.stages.captures import sliding_frames, write_video

CODE = "reconstruction_pipeline_tests.orchestration.site.location"
LAUNCHED = "{ __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }"
START = "mutation($at: SensorSelector!) { startSensor(sensorSelector: $at) { __typename } }"
TERMINATE = """mutation($id: String!) {
  terminateRun(runId: $id) { __typename ... on TerminateRunFailure { message } ... on PythonError { message } }
}"""

FAILURES = (
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
)


@dataclass
class Site:
    """A running deployment and what tests do with it."""

    root: Path
    storage: str
    environment: dict[str, str]
    code: Server
    daemon: Server
    web: Server
    ui: UiServer
    postgres: Server | None = None
    bucket: Server | None = None
    gate: Gate | None = None

    @property
    def steering(self) -> Path:
        """The folder that steers the stand-ins."""
        return self.root / "stand_ins"

    @property
    def scratch(self) -> Path:
        """Work in progress."""
        return self.root / "scratch"

    @property
    def uploads(self) -> Path:
        """The watched folder."""
        return self.root / "uploads"

    def store(self) -> ArtifactStore:
        """The artifacts, as another process sees them."""
        return ArtifactStore(self.storage, self.root / "scratch_of_the_test")

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Dagster's instance, as another process sees it."""
        with dg.DagsterInstance.from_config(str(self.root / "home")) as found:
            yield found

    def register(self, key: str) -> None:
        """A video of its own name and content, as the command line registers one."""
        video = write_video(self.root / f"{key}.mp4", sliding_frames(20, seed=len(list(self.root.glob("*.mp4")))))
        Catalog(self.storage).register(Entry(key, str(video)))
        with self.instance() as instance:
            instance.add_dynamic_partitions(VIDEOS, [key])

    def launch(self, key: str, assets: Sequence[str] = (), **pipeline: Any) -> str:
        """Start a run of a video as the UI does: of the whole line, or of some assets. Its id."""
        selection: dict[str, Any] = {"jobName": JOB}
        if assets:
            selection = {"jobName": "__ASSET_JOB", "assetSelection": [{"path": [name]} for name in assets]}
        params = {
            "selector": {**LOCATION, **selection},
            "mode": "default",
            "runConfigData": {"resources": {"pipeline": {"config": {"preset": "fastest", **pipeline}}}},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": key}]},
        }
        query = (
            f"mutation($params: ExecutionParams!) {{ launchPipelineExecution(executionParams: $params) {LAUNCHED} }}"
        )
        answer = self.ui.graphql(query, params=params)["launchPipelineExecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        run_id: str = answer["run"]["runId"]
        return run_id

    def terminate(self, run_id: str) -> str:
        """As the UI's button does; the kind of the answer."""
        answer = self.ui.graphql(TERMINATE, id=run_id)["terminateRun"]
        return str(answer["__typename"])

    def ends(self, run_id: str, seconds: float = 900) -> str:
        """The status of a run once it has ended; looks into the instance, as servers may be down."""
        status = ""

        def ended() -> bool:
            nonlocal status
            with self.instance() as instance:
                run = instance.get_run_by_id(run_id)
                assert run
                status = run.status.value
            return status in ENDED

        wait_until(ended, seconds, lambda: f"run {run_id} is {status}\n{self.code.tail()}\n{self.daemon.tail()}", 2.0)
        return status

    def succeeds(self, run_id: str, seconds: float = 900) -> None:
        """Wait for a run's end, which must be good; else what its events say of failures is told."""
        status = self.ends(run_id, seconds)
        assert status == "SUCCESS", f"{status}: {self.told(run_id)}"

    def told(self, run_id: str, *kinds: dg.DagsterEventType) -> str:
        """What a run's events of some kinds say; without any, everything that failed."""
        wanted = set(kinds or FAILURES)
        with self.instance() as instance:
            entries = instance.all_logs(run_id, of_type=wanted)
            events = [entry.dagster_event for entry in entries if entry.dagster_event]
        return "\n".join(f"{event.step_key}: {event.message} {event.event_specific_data}" for event in events)

    def start_sensor(self, name: str) -> None:
        """Turn a sensor on."""
        at = {**LOCATION, "sensorName": name}
        assert self.ui.graphql(START, at=at)["startSensor"]["__typename"] == "Sensor"

    def steer(self, verb: str, function: str) -> Path:
        """Have a stand-in `hold` or `die`; deleting the file ends the hold."""
        path = self.steering / verb / function
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path

    def running(self, word: str) -> list[int]:
        """Ids of this deployment's living processes with a word in their command line."""
        mark, found = f"STAND_INS={self.steering}".encode(), []
        for folder in Path("/proc").iterdir():
            try:
                if (
                    folder.name.isdigit()
                    and word.encode() in (folder / "cmdline").read_bytes()
                    and mark in (folder / "environ").read_bytes().split(b"\0")
                    and state_of(int(folder.name)) != "Z"
                ):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def places_taken(self) -> int:
        """How many places of the pool are held."""
        with self.instance() as instance:
            return instance.event_log_storage.get_concurrency_info(GPU_POOL).active_slot_count

    def check_sound(self, key: str, stages: Sequence[str] = STAGES) -> None:
        """What must hold once nothing runs: whole artifacts, free places, and no process left behind."""
        for stage in stages:
            assert check_whole(self.store(), stage, key), f"{key}: there is no {stage}"
        wait_until(lambda: not self.running("stage_worker"), 60, lambda: "a stage outlives its run")
        wait_until(lambda: self.places_taken() == 0, 60, lambda: "a place of the pool was not given back", 0.5)


def state_of(pid: int) -> str:
    """The kernel's letter for a process's state."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def parent_of(pid: int) -> int:
    """The process that started another."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def check_whole(store: ArtifactStore, stage: str, key: str) -> str | None:
    """The current version of an artifact, if there is one; fails unless every byte is what was stored."""
    from reconstruction_pipeline.orchestration.io_manager import KINDS

    version = store.current_version(stage, key)
    return store.load(KINDS[stage], key, thorough=True).version if version else None


@contextmanager
def deployment(
    root: Path,
    postgres: bool = False,
    bucket: bool = False,
    more: Mapping[str, str] | None = None,
    instance: Mapping[str, Any] | None = None,
) -> Iterator[Site]:
    """Start everything and end it; `more` goes into the environment, and `instance` into `dagster.yaml`."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        environment.pop("PYTHONWARNINGS", None)
        ours = {
            "DAGSTER_HOME": str(root / "home"),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "RECONSTRUCTION_STORAGE": str(root / "storage"),
            "RECONSTRUCTION_UPLOADS": str(root / "uploads"),
            "RECONSTRUCTION_SCRATCH": str(root / "scratch"),
            "RECONSTRUCTION_WEIGHTS": str(root / "weights"),
            "RECONSTRUCTION_MIN_FREE_GB": "0",
            "STAND_INS": str(root / "stand_ins"),
            "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
            **(more or {}),
        }
        for name in ("home", "uploads", "stand_ins"):
            (root / name).mkdir(parents=True)
        config = yaml.safe_load(instance_config().read_text())
        database = store = gate = None
        if postgres:
            database, port = stack.enter_context(running_postgres())
            config["storage"] = postgres_storage(port)
        if bucket:
            store, gate, found = stack.enter_context(running_bucket(root))
            ours |= found
            ours["RECONSTRUCTION_STORAGE"] = "s3://scenes/storage"
        config |= instance or {}
        for name, value in ours.items():
            patch.setenv(name, value)
        if bucket:
            _make_bucket("scenes")
        (root / "home" / "dagster.yaml").write_text(yaml.safe_dump(config))
        site = _servers(root, ours["RECONSTRUCTION_STORAGE"], {**environment, **ours})
        site.postgres, site.bucket, site.gate = database, store, gate
        for server in (site.code, site.web, site.daemon):
            stack.callback(server.stop)
            server.start()
        yield site


def _servers(root: Path, storage: str, environment: dict[str, str]) -> Site:
    code_port, web_port = free_port(), free_port()
    workspace = root / "workspace.yaml"
    server = {"host": "127.0.0.1", "port": code_port, "location_name": LOCATION["repositoryLocationName"]}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))

    def program(name: str) -> str:
        beside = Path(sys.executable).with_name(name)
        return str(beside) if beside.exists() else str(shutil.which(name))

    def make(name: str, *command: object, ready: Callable[[], bool]) -> Server:
        return Server(name, command, environment, root / f"{name}.log", ready)

    ui = UiServer(f"http://127.0.0.1:{web_port}", root / "web.log")
    grpc = [program("dagster"), "api", "grpc", "-h", "127.0.0.1", "-p", code_port, "-m", CODE]
    web = [program("dagster-webserver"), "-h", "127.0.0.1", "-p", web_port, "-w", workspace]
    return Site(
        root,
        storage,
        environment,
        code=make("code", *grpc, ready=lambda: answers(code_port)),
        daemon=make("daemon", program("dagster-daemon"), "run", "-w", workspace, ready=lambda: True),
        web=make("web", *web, ready=lambda: answers(web_port) and _loaded(ui)),
        ui=ui,
    )


def _loaded(ui: UiServer) -> bool:
    query = "query($at: RepositorySelector!) { repositoryOrError(repositorySelector: $at) { __typename } }"
    try:
        return bool(ui.graphql(query, at=LOCATION)["repositoryOrError"]["__typename"] == "Repository")
    except OSError:
        time.sleep(0.3)
        return False


def _make_bucket(name: str) -> None:
    import fsspec

    fsspec.get_filesystem_class("s3").clear_instance_cache()
    fsspec.filesystem("s3").mkdir(f"s3://{name}")
