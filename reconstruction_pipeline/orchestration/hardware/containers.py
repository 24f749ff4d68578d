"""Docker executor that routes each step by its tag `reconstruction/hardware` to a hardware profile.

Dagster's own Docker executor gives every step the same container. The private imports that change this are in this
module only, which is why the minor versions of dagster and dagster-docker are pinned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import docker.errors
from dagster._core.definitions.executor_definition import (
    _core_in_process_executor_creation,
    multiple_process_executor_requirements,
)
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.execution.tags import get_tag_concurrency_limits_config
from dagster._core.executor.step_delegating import StepDelegatingExecutor
from dagster._core.executor.step_delegating.step_handler.base import CheckStepHealthResult, StepHandlerContext
from dagster_docker.container_context import DockerContainerContext
from dagster_docker.docker_executor import DockerStepHandler

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.orchestration.hardware.profiles import HardwareProfile, load_profiles, profiles_of
from reconstruction_pipeline.orchestration.names import HARDWARE_TAG
from reconstruction_pipeline.settings import load_settings

LABEL = "reconstruction-pipeline"
HEALTH_SECONDS = 10
LOG_LINES = 40

CONFIG = {
    "docker": dg.Field(
        {
            "image": dg.Field(dg.StringSource, is_required=False, description="Image of profiles that name none."),
            "profiles": dg.Field(
                dg.Permissive(), is_required=False, description="By name; default: the file RECONSTRUCTION_PROFILES."
            ),
            "env_vars": dg.Field([str], is_required=False, description="NAME or NAME=VALUE, for every step."),
            "container_kwargs": dg.Field(
                dg.Permissive(), is_required=False, description="Arguments of docker-py's create, for every step."
            ),
            "health_seconds": dg.Field(dg.IntSource, is_required=False, default_value=HEALTH_SECONDS),
            "max_concurrent": dg.Field(dg.IntSource, is_required=False, description="Containers at a time, per run."),
            "retries": get_retries_config(),
            "tag_concurrency_limits": get_tag_concurrency_limits_config(),
        }
    ),
    "in_process": dg.Field({"retries": get_retries_config()}),
}


@dg.executor(
    name="hardware_containers",
    config_schema=dg.Field(dg.Selector(CONFIG), default_value={"docker": {}}),
    requirements=lambda config: multiple_process_executor_requirements() if "docker" in config else [],
)
def hardware_containers(context: dg.InitExecutorContext) -> dg.Executor:
    """A container a step, by hardware profile; or everything in this process, as `reconstruct run` does it."""
    config: Mapping[str, Any] = context.executor_config
    if "in_process" in config:
        return _core_in_process_executor_creation(config["in_process"])
    chosen = config["docker"]
    common = DockerContainerContext(
        env_vars=chosen.get("env_vars") or [], container_kwargs=chosen.get("container_kwargs") or {}
    )
    return StepDelegatingExecutor(
        HardwareStepHandler(_profiles(chosen), chosen.get("image"), common),
        retries=RetryMode.from_config(chosen["retries"]) or RetryMode.ENABLED,
        check_step_health_interval_seconds=chosen["health_seconds"],
        max_concurrent=chosen.get("max_concurrent"),
        tag_concurrency_limits=chosen.get("tag_concurrency_limits") or [],
    )


def _profiles(config: Mapping[str, Any]) -> dict[str, HardwareProfile]:
    if body := config.get("profiles"):
        return profiles_of(body, "the executor's configuration")
    if path := load_settings().operation.profiles:
        return load_profiles(path)
    raise UsageError("there are no hardware profiles; set RECONSTRUCTION_PROFILES to docker/profiles.yaml or your own.")


class HardwareStepHandler(DockerStepHandler):
    """Launches, watches and stops one container a step."""

    def __init__(
        self, profiles: Mapping[str, HardwareProfile], image: str | None, context: DockerContainerContext
    ) -> None:
        super().__init__(image, context)
        self._profiles = profiles
        self._refused: dict[str, str] = {}

    @property
    def name(self) -> str:
        """As events show it."""
        return "HardwareStepHandler"

    def profile_name(self, context: StepHandlerContext) -> str:
        """The profile in a step's tag, "cpu" without one; raises `UsageError` for one that does not exist."""
        wanted = context.step_tags[self._get_step_key(context)].get(HARDWARE_TAG, "cpu")
        if wanted not in self._profiles:
            raise UsageError(f"there is no hardware profile '{wanted}'; there are {', '.join(sorted(self._profiles))}.")
        return wanted

    def _profile(self, context: StepHandlerContext) -> HardwareProfile:
        return self._profiles[self.profile_name(context)]

    def _get_image(self, step_handler_context: StepHandlerContext) -> str:
        # Before the stock order, in which the code location's image wins over the executor's.
        return self._profile(step_handler_context).image or str(super()._get_image(step_handler_context))

    def _get_docker_container_context(self, step_handler_context: StepHandlerContext) -> DockerContainerContext:
        merged = super()._get_docker_container_context(step_handler_context)
        profile = self._profile(step_handler_context)
        kwargs = dict(profile.container_kwargs)
        run = step_handler_context.dagster_run
        given = merged.container_kwargs.get("labels") or {}
        if isinstance(given, list):
            given = dict.fromkeys(given, "")
        # Containers are kept for their logs; the labels are what they are found and pruned by.
        kwargs["labels"] = {
            **given,
            **(kwargs.get("labels") or {}),
            LABEL: "step",
            f"{LABEL}.run": run.run_id,
            f"{LABEL}.step": self._get_step_key(step_handler_context),
            f"{LABEL}.profile": self.profile_name(step_handler_context),
        }
        return merged.merge(DockerContainerContext(env_vars=list(profile.env_vars), container_kwargs=kwargs))

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Create and start the container. What Docker refuses fails the step alone, and its retry policy applies."""
        key = self._get_step_key(step_handler_context)
        step = step_handler_context.get_step_context(key)
        name, profile = self.profile_name(step_handler_context), self._profile(step_handler_context)
        note = (
            "" if name != "gpu" or profile.asks_for_device else " It gives no device: the step falls back to the CPU."
        )
        yield DagsterEvent.engine_event(
            step,
            f"Hardware profile '{name}', image {self._get_image(step_handler_context)}.{note}",
            EngineEventData(metadata={"profile": dg.MetadataValue.text(name)}),
        )
        try:
            yield from super().launch_step(step_handler_context)
        except docker.errors.DockerException as error:
            self._remove_unstarted(step_handler_context)
            # Told by the next health check, after which the executor fails the step or tries it again; raised from
            # here it would end the whole run.
            self._refused[self._get_container_name(step_handler_context)] = (
                f"Docker cannot start the step in profile '{name}': {error}"
            )

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """As stock; the container's last lines are added to what it says of a dead one."""
        if said := self._refused.get(self._get_container_name(step_handler_context)):
            return CheckStepHealthResult.unhealthy(said)
        found = super().check_step_health(step_handler_context)
        if found.is_healthy:
            return found
        return CheckStepHealthResult.unhealthy(f"{found.unhealthy_reason}{self._last_lines(step_handler_context)}")

    def _last_lines(self, context: StepHandlerContext) -> str:
        try:
            container = self._container(context)
            killed = container.attrs["State"].get("OOMKilled")
            text = container.logs(tail=LOG_LINES).decode(errors="replace").strip()
        except docker.errors.DockerException as error:
            return f" Its log cannot be read: {error}"
        memory = " It was killed for its memory; raise mem_limit or choose a smaller preset." if killed else ""
        return f"{memory}\nThe end of its log:\n{text}"

    def _remove_unstarted(self, context: StepHandlerContext) -> None:
        """A container that was created and not started would answer no health check and take its name."""
        try:
            self._container(context).remove(force=True)
        except docker.errors.DockerException:
            return

    def _container(self, context: StepHandlerContext) -> Any:
        client = self._get_client(self._get_docker_container_context(context))
        return client.containers.get(self._get_container_name(context))
