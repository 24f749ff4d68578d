"""A deployment whose runs and steps are containers of an engine that the test starts, as the compose file has it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reconstruction_pipeline.orchestration.hardware.containers import LABEL
from reconstruction_pipeline_tests.orchestration.hardware.engine import IMAGE, Engine, host_mounts, running_engine
from reconstruction_pipeline_tests.orchestration.site.deployment import Site, deployment

PASSED_ON = (
    "DAGSTER_HOME", "DAGSTER_DISABLE_TELEMETRY", "DOCKER_HOST", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH",
    "RECONSTRUCTION_EXECUTOR", "RECONSTRUCTION_MIN_FREE_GB", "RECONSTRUCTION_PROFILES", "RECONSTRUCTION_SCRATCH",
    "RECONSTRUCTION_STORAGE", "RECONSTRUCTION_UPLOADS", "RECONSTRUCTION_WEIGHTS", "STAND_INS",
    "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION",
)  # fmt: skip
PROFILES = {
    "cpu": {"container_kwargs": {"nano_cpus": 1_500_000_000, "mem_limit": "1g", "memswap_limit": "1g"}},
    "gpu": {"container_kwargs": {"devices": ["/dev/zero:/dev/nvidia0:rwm"]}},  # stands in for a card
}


@dataclass
class Contained:
    """The deployment and its engine."""

    site: Site
    engine: Engine

    def steps(self, run_id: str) -> dict[str, list[Any]]:
        """Containers of a run's steps, those that ended too, by step in the order they were made."""
        made = self.engine.client.containers.list(all=True, filters={"label": f"{LABEL}.run={run_id}"})
        found: dict[str, list[Any]] = {}
        for container in sorted(made, key=lambda item: item.attrs["Created"]):
            found.setdefault(container.labels[f"{LABEL}.step"], []).append(container)
        return found

    def run(self, run_id: str) -> Any:
        """The container of the run itself that lives, or None."""
        named = [item for item in self.engine.client.containers.list() if item.labels.get("test") == "run"]
        return next((item for item in named if run_id in str(item.attrs["Config"]["Cmd"])), None)


@contextmanager
def contained(root: Path, postgres: bool = False, bucket: bool = False) -> Iterator[Contained]:
    """Start the engine and the deployment; raises `engine.CannotStart` where no engine can be started."""
    short = tempfile.TemporaryDirectory(prefix="engine-", dir="/tmp", ignore_cleanup_errors=True)
    with short as folder, running_engine(Path(folder)) as engine:
        engine.import_host_image()
        root.mkdir(parents=True, exist_ok=True)
        (root / "profiles.yaml").write_text(yaml.safe_dump(PROFILES))
        more = {
            "RECONSTRUCTION_EXECUTOR": "docker",
            "RECONSTRUCTION_PROFILES": str(root / "profiles.yaml"),
            "DOCKER_HOST": engine.url,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        launcher = {
            "image": IMAGE,
            "env_vars": [name for name in PASSED_ON if bucket or not name.startswith("AWS")],
            "container_kwargs": {
                "network_mode": "host",
                "volumes": host_mounts(root, Path(folder)),
                "labels": {"test": "run"},
                "stop_timeout": 20,
            },
        }
        instance = {
            "run_launcher": {"module": "dagster_docker", "class": "DockerRunLauncher", "config": launcher},
            "run_monitoring": {
                "enabled": True,
                "poll_interval_seconds": 5,
                "max_resume_run_attempts": 2,
                "free_slots_after_run_end_seconds": 5,
            },
        }
        with deployment(root, postgres=postgres, bucket=bucket, more=more, instance=instance) as site:
            yield Contained(site, engine)
