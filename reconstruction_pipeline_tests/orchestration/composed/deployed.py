"""Starts docker/compose.yaml on Docker at its usual address and ends it. Builds nothing."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker.errors

import docker
from reconstruction_pipeline.orchestration.hardware.containers import LABEL
from reconstruction_pipeline_tests.orchestration.site.servers import wait_until
from reconstruction_pipeline_tests.orchestration.test_uploads_end_to_end import partitions
from reconstruction_pipeline_tests.orchestration.ui_server import LOCATION, UiServer, free_port

SOCKET = Path("/var/run/docker.sock")
COMPOSE = Path(__file__).resolve().parents[3] / "docker" / "compose.yaml"
IMAGE = "reconstruction-pipeline:cpu"
POSTGRES = os.environ.get("POSTGRES_IMAGE") or "postgres:17.6-alpine"
VOLUMES = {f"reconstruction_{name}" for name in ("postgres", "storage", "scratch", "numba", "uploads")}
MARKS = ("com.docker.compose.project=reconstruction", LABEL)
SERVICES = ("postgres", "code", "webserver", "daemon")
LOADED = "query($at: RepositorySelector!) { repositoryOrError(repositorySelector: $at) { __typename } }"


def why_not() -> str:
    """Why the deployment cannot be started here; empty if it can."""
    if not SOCKET.is_socket():
        return f"Docker does not answer at {SOCKET}"
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        return "Compose is not installed (docker compose version)"
    client = docker.DockerClient(f"unix://{SOCKET}")
    for name in (IMAGE, POSTGRES):
        try:
            client.images.get(name)
        except docker.errors.ImageNotFound:
            return f"there is no image {name} (docs/deploy.md)"
    if taken := sorted(VOLUMES & {volume.name for volume in client.volumes.list()}):
        return f"a deployment is on this machine: {', '.join(taken)}"
    return ""


@dataclass
class Deployed:
    """The running deployment."""

    root: Path
    ui: UiServer
    client: Any

    @property
    def uploads(self) -> Path:
        """The watched folder of the host."""
        return self.root / "uploads"

    def compose(self, *words: str) -> str:
        """Compose with the deployment's own environment file; what it says."""
        command = ["docker", "compose", "-f", str(COMPOSE), "--env-file", str(self.root / "env"), *words]
        environment = {**os.environ, "DOCKER_HOST": f"unix://{SOCKET}"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.logs()}"
        return done.stdout

    def logs(self) -> str:
        """The ends of the logs of the services, runs and steps."""
        found = [item for mark in MARKS for item in self.client.containers.list(all=True, filters={"label": mark})]
        return "\n".join(f"{item.name}:\n{item.logs(tail=25).decode(errors='replace')}" for item in found)

    def finished(self) -> set[str]:
        """Partitions with a report; none while the web server does not answer."""
        try:
            return partitions(self.ui, "scene_report")
        except OSError:
            return set()

    def start(self) -> None:
        """Start what is not up, and wait until the web server has loaded the code."""
        self.compose("up", "--no-build", "--detach")
        wait_until(self._loaded, 600, self.logs, 2.0)

    def _loaded(self) -> bool:
        try:
            return bool(self.ui.graphql(LOADED, at=LOCATION)["repositoryOrError"]["__typename"] == "Repository")
        except OSError:
            return False

    def service(self, name: str) -> Any:
        """A service's container."""
        (found,) = self.client.containers.list(filters={"label": [MARKS[0], f"com.docker.compose.service={name}"]})
        return found

    def read(self, path: str) -> str:
        """A file of the storage, through a container."""
        mount = {"reconstruction_storage": {"bind": "/data/storage", "mode": "ro"}}
        return str(self.client.containers.run(IMAGE, ["cat", path], volumes=mount, remove=True).decode())

    def steps(self) -> dict[str, Any]:
        """Containers of steps, by step; the last one of each."""
        made = self.client.containers.list(all=True, filters={"label": f"{LABEL}=step"})
        return {item.labels[f"{LABEL}.step"]: item for item in sorted(made, key=lambda item: item.attrs["Created"])}


@contextmanager
def deployed(root: Path) -> Iterator[Deployed]:
    """The deployment on a host without a GPU, with an upload folder of its own; all of it goes afterwards."""
    port = free_port()
    root.mkdir(parents=True, exist_ok=True)
    (root / "uploads").mkdir(mode=0o755)
    settings = {
        "POSTGRES_PASSWORD": secrets.token_hex(16),
        "POSTGRES_IMAGE": POSTGRES,
        "UPLOADS_DIR": root / "uploads",
        "DOCKER_GID": SOCKET.stat().st_gid,
        "PORT": port,
        "PROFILES": "/data/home/profiles.cpu.yaml",
        "MIN_FREE_GB": 1,
    }
    (root / "env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    client = docker.DockerClient(f"unix://{SOCKET}")
    log = root / "containers.log"
    made = Deployed(root, UiServer(f"http://127.0.0.1:{port}", log), client)
    try:
        yield made
    finally:
        log.write_text(made.logs())
        made.compose("down")
        for container in client.containers.list(all=True, filters={"label": LABEL}):
            container.remove(force=True)
        made.compose("down", "--volumes")
        client.close()


def has_ended(container: Any) -> bool:
    """Whether a container is not running any more."""
    container.reload()
    return str(container.status) == "exited"


def health(container: Any, seconds: float = 240) -> str:
    """What the container's health check says once it has said something but "starting"."""
    deadline = time.monotonic() + seconds
    while True:
        container.reload()
        said = str(container.attrs["State"].get("Health", {}).get("Status", "none"))
        if said != "starting" or time.monotonic() > deadline:
            return said
        time.sleep(2)


def published(container: Any) -> list[str]:
    """Addresses of the host at which a container can be reached."""
    ports = container.attrs["NetworkSettings"]["Ports"] or {}
    return [place["HostIp"] for places in ports.values() for place in places or []]


def metrics(made: Deployed, key: str) -> dict[str, Any]:
    """The figures of a finished scene, out of the storage's volume."""
    found: dict[str, Any] = json.loads(made.read(f"/data/storage/deliverables/{key}/metrics.json"))
    return found
