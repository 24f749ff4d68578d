"""What the assets have in common: partitions, storage, checks, retries, and where they want to run."""

from __future__ import annotations

from typing import Any

import dagster as dg

from reconstruction_pipeline.artifacts import Artifact, SourceVideo
from reconstruction_pipeline.orchestration.automation import AFTER_PASSED_GATES
from reconstruction_pipeline.orchestration.checks import GateNames, check_specs
from reconstruction_pipeline.orchestration.columns import column_schema
from reconstruction_pipeline.orchestration.hardware.tags import hardware_tags
from reconstruction_pipeline.orchestration.names import GPU_POOL, GROUP, OWNERS, videos
from reconstruction_pipeline.orchestration.retries import RETRIES


def asset_settings(
    artifact: type[Artifact], gates: GateNames, *, code_version: str, kinds: set[str], hardware: str, heavy: bool
) -> dict[str, Any]:
    """Arguments of `@dg.asset` for the asset that returns `artifact`; anything else it returns is not stored.

    `hardware` ("gpu" | "cpu") is a preference that executors may route by; `heavy` steps share the pool
    of the accelerator, or of the cores where there is none.
    """
    return {
        "name": artifact.KIND,
        "dagster_type": dg.PythonObjectDagsterType(artifact),
        "partitions_def": videos,
        "group_name": GROUP,
        "kinds": kinds,
        "code_version": code_version,
        "io_manager_key": "artifacts",
        "retry_policy": RETRIES,
        "check_specs": check_specs(artifact.KIND, gates),
        "op_tags": hardware_tags(hardware),
        "owners": OWNERS,
        "tags": {"stage": artifact.KIND, "hardware": hardware, "weight": "heavy" if heavy else "light"},
        "metadata": {"dagster/column_schema": column_schema(artifact.KIND)},
        "automation_condition": None if artifact is SourceVideo else AFTER_PASSED_GATES,
        "pool": GPU_POOL if heavy else None,
    }
