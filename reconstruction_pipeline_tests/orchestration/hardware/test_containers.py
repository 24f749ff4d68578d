"""Steps in real containers of an engine that this test starts: which profile, which device, what a crash leaves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from reconstruction_pipeline.orchestration.hardware import containers
from reconstruction_pipeline_tests.orchestration.hardware import routed_job
from reconstruction_pipeline_tests.orchestration.hardware.engine import IMAGE, Engine, host_mounts

pytestmark = [pytest.mark.daemon, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[3]
STAND_IN = {"devices": ["/dev/zero:/dev/nvidia0:rwm"]}
DRIVER = {"device_requests": [{"driver": "nvidia", "count": -1, "capabilities": [["gpu"]]}]}


@pytest.fixture
def home(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.get() as instance:
        yield instance


def run(home: dg.DagsterInstance) -> dg.JobExecutionResult:
    docker = {
        "image": IMAGE,
        "health_seconds": 2,
        "env_vars": ["DAGSTER_HOME", f"PYTHONPATH={ROOT}", "PYTHONDONTWRITEBYTECODE=1"],
        "container_kwargs": {"network_mode": "host", "volumes": host_mounts(Path(home.root_directory))},
        "profiles": {
            "cpu": {"container_kwargs": {"nano_cpus": 1_500_000_000}},
            "gpu": {"env_vars": ["SEEN_BY=the gpu profile"], "container_kwargs": STAND_IN},
            "real gpu": {"container_kwargs": DRIVER},
        },
    }
    config = {
        "execution": {"config": {"docker": docker}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    return dg.execute_job(dg.reconstructable(routed_job.routed), home, run_config=config, raise_on_error=False)


def failures(instance: dg.DagsterInstance, run_id: str, *kinds: dg.DagsterEventType) -> str:
    """Every error that a run's events of these kinds tell."""
    entries = instance.all_logs(run_id, of_type=set(kinds))
    return "\n".join(str(entry.dagster_event.event_specific_data) for entry in entries if entry.dagster_event)


def test_steps_land_in_their_profiles_a_crash_is_tried_again_and_what_docker_refuses_fails_its_step_alone(
    engine: Engine, home: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    remove = containers.HardwareStepHandler._remove_unstarted

    def look(handler: containers.HardwareStepHandler, context: Any) -> None:
        asked.append(handler._container(context).attrs["HostConfig"]["DeviceRequests"])
        remove(handler, context)

    monkeypatch.setattr(containers.HardwareStepHandler, "_remove_unstarted", look)
    result = run(home)
    made = engine.client.containers.list(all=True, filters={"label": f"{containers.LABEL}.run={result.run_id}"})
    by_step: dict[str, list[Any]] = {}
    for container in made:
        by_step.setdefault(container.labels[f"{containers.LABEL}.step"], []).append(container)
    said = failures(home, result.run_id, dg.DagsterEventType.STEP_FAILURE)
    assert {step: len(found) for step, found in by_step.items()} == {"on_cpu": 1, "on_gpu": 2}, said
    (cpu,), gpu = by_step["on_cpu"], by_step["on_gpu"][0]
    assert cpu.labels[f"{containers.LABEL}.profile"] == "cpu"
    assert cpu.attrs["HostConfig"]["NanoCpus"] == 1_500_000_000 and not cpu.attrs["HostConfig"]["Devices"]
    assert gpu.labels[f"{containers.LABEL}.profile"] == "gpu"
    assert gpu.attrs["HostConfig"]["Devices"][0]["PathInContainer"] == "/dev/nvidia0"
    assert "SEEN_BY=the gpu profile" in gpu.attrs["Config"]["Env"]
    told = failures(home, result.run_id, dg.DagsterEventType.STEP_UP_FOR_RETRY)
    assert "Return code is 137" in told and "last words of a dying step" in told

    ((request,),) = asked
    assert (request["Driver"], request["Count"], request["Capabilities"]) == ("nvidia", -1, [["gpu"]])
    assert not result.success and "could not select device driver" in said
    ends = {event.step_key: event for event in result.all_events if event.is_step_failure or event.is_step_success}
    assert {step for step, event in ends.items() if event.is_step_success} == {"on_cpu", "on_gpu"}
    assert ends["on_a_real_gpu"].is_step_failure


def test_the_docker_command_line_agrees_that_the_engine_is_ours(engine: Engine) -> None:
    listed = subprocess.run(
        ["docker", "-H", engine.url, "image", "ls", "--format", "json"], capture_output=True, text=True, check=True
    )
    assert [json.loads(line)["Repository"] for line in listed.stdout.splitlines()] == [IMAGE.split(":")[0]]
