"""Where steps run: processes of this machine, or containers; `reconstruct run` uses its own process instead.

How many heavy steps run at a time is the pool's business (`names.GPU_POOL`): it holds over all runs.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from reconstruction_pipeline.settings import Settings

local_processes = dg.multi_or_in_process_executor
IN_PROCESS_CONFIG: dict[str, Any] = {"config": {"in_process": {}}}
"""Run configuration that the executors of this machine know; in pods, run `reconstruct` with `processes`."""


def executor_for(settings: Settings) -> dg.ExecutorDefinition:
    """The executor that the deployment's settings name; Kubernetes reads the tags of `hardware.tags` itself."""
    if settings.operation.executor == "docker":
        from reconstruction_pipeline.orchestration.hardware.containers import hardware_containers

        return hardware_containers
    if settings.operation.executor == "kubernetes":
        from dagster_k8s import k8s_job_executor

        return k8s_job_executor
    return local_processes
