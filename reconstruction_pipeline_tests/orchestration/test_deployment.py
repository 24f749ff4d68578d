"""The deployment's files: what they promise in docs/deploy.md, as far as it can be told without a registry."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config_schema
from dagster_docker import DockerRunLauncher

from reconstruction_pipeline.orchestration.names import GPU_POOL

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
SETTINGS = set(re.findall(r"RECONSTRUCTION_[A-Z_]+", (ROOT / "reconstruction_pipeline" / "settings.py").read_text()))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


COMPOSE = read(DOCKER / "compose.yaml")
INSTANCE = read(DOCKER / "dagster.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_every_yaml_file_reads_and_names_known_settings() -> None:
    for path in [*DOCKER.rglob("*.yaml"), ROOT / "dagster.yaml", ROOT / "workspace.yaml"]:
        assert list(yaml.safe_load_all(path.read_text())), path
        assert set(re.findall(r"RECONSTRUCTION_[A-Z_]+", path.read_text())) <= SETTINGS, path


def test_one_service_each_all_with_a_health_check_or_one_from_the_image() -> None:
    assert set(SERVICES) == {"postgres", "code", "webserver", "daemon", "cuda-image"}
    for name in ("postgres", "webserver", "daemon"):
        assert SERVICES[name]["healthcheck"]["test"], name
    for name in ("code", "webserver", "daemon"):
        assert SERVICES[name]["depends_on"], name


def test_only_the_loopback_address_is_published() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:${PORT:-3000}:3000"]


def test_no_secret_is_written_down() -> None:
    for path in [*DOCKER.rglob("*.yaml"), *DOCKER.glob("*.Dockerfile")]:
        for line in path.read_text().splitlines():
            if re.search(r"(PASSWORD|SECRET_ACCESS_KEY|WEBHOOK)\S*:\s*\S", line) and "{env:" not in line:
                assert re.search(r":\s*(\$\{|\"\")", line), (path.name, line)
    values = [
        line.split("=", 1)[1] for line in (DOCKER / "env.example").read_text().splitlines() if "PASSWORD=" in line
    ]
    assert values == [""]


def test_what_the_compose_file_asks_for_is_in_the_example_environment() -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", (DOCKER / "compose.yaml").read_text()))
    given = set(re.findall(r"^([A-Z_]+)=", (DOCKER / "env.example").read_text(), re.MULTILINE))
    assert {"POSTGRES_PASSWORD", "DOCKER_GID", "UPLOADS_DIR"} == asked <= given


def test_runs_get_the_variables_and_volumes_of_the_services() -> None:
    launcher = INSTANCE["run_launcher"]["config"]
    places = COMPOSE["x-places"]
    assert set(places) <= set(launcher["env_vars"])
    volumes = {volume.split(":")[0] for volume in launcher["container_kwargs"]["volumes"]}
    named = {volume["name"] for volume in COMPOSE["volumes"].values() if volume["name"] != "reconstruction_postgres"}
    assert volumes == named | {"/var/run/docker.sock"}
    assert launcher["container_kwargs"]["healthcheck"] == {"test": ["NONE"]}  # the image's is of the code server
    assert launcher["network"] == COMPOSE["networks"]["reconstruction"]["name"]


def test_the_instance_is_one_that_dagster_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "USER", "PASSWORD", "DB"):
        monkeypatch.setenv(f"DAGSTER_PG_{name}", "x")
    for body in (INSTANCE, read(ROOT / "dagster.yaml")):
        result = process_config(dagster_instance_config_schema(), body)
        assert result.success, result.errors
    launcher = process_config(DockerRunLauncher.config_type(), INSTANCE["run_launcher"]["config"])
    assert launcher.success, launcher.errors
    assert INSTANCE["concurrency"] == {**read(ROOT / "dagster.yaml")["concurrency"], "runs": {"max_concurrent_runs": 8}}


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_an_image_is_pinned_not_root_and_examined_at_the_end(kind: str) -> None:
    text = (DOCKER / f"{kind}.Dockerfile").read_text()
    stages = text.split("\nFROM ")
    assert len(stages) == 4
    assert "latest" not in text and all(":" in line for line in re.findall(r"^ARG BASE=.*|^FROM nvidia.*", text, re.M))
    last = stages[-1]
    runs = [line for line in last.splitlines() if line.startswith("RUN ")]
    assert runs[-1].endswith(f"reconstruct doctor --strict --for {kind}")
    assert last.index("USER 10001") < last.index(runs[-1])
    assert "HEALTHCHECK" in last and "COPY --from=package /opt/package /opt/venv" in last
    for line in re.findall(r"^COPY (?!--from)(?:--chown=\S+ )?(.+)$", text, re.M):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists() or list(ROOT.glob(source)), source


def test_pods_get_the_same_choices() -> None:
    values = read(DOCKER / "kubernetes" / "values.yaml")
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert deployment["dagsterApiGrpcArgs"] == ["-m", "reconstruction_pipeline.definitions"]
    config, secret, claim = yaml.safe_load_all((DOCKER / "kubernetes" / "storage.yaml").read_text())
    assert config["metadata"]["name"] == deployment["envConfigMaps"][0]["name"]
    assert secret["metadata"]["name"] == deployment["envSecrets"][0]["name"]
    assert claim["metadata"]["name"] == deployment["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert config["data"]["RECONSTRUCTION_EXECUTOR"] == "kubernetes"
    assert GPU_POOL == "gpu"


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["docker", "kubernetes"])
def test_the_definitions_load_for_every_executor(tmp_path: Path, executor: str) -> None:
    code = "from reconstruction_pipeline.definitions import defs; print(defs.executor.name)"
    environment = {**os.environ, "RECONSTRUCTION_EXECUTOR": executor, "DAGSTER_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == {"docker": "hardware_containers", "kubernetes": "k8s"}[executor]
