"""What the assets have in common: partitions, storage, checks, retries, and where they want to run."""

from __future__ import annotations

from typing import Any

import dagster as dg

from reconstruction_pipeline.orchestration.checks import GateNames, check_specs
from reconstruction_pipeline.orchestration.names import GPU_POOL, GROUP, HARDWARE_TAG, videos

# Only for what another attempt may cure: I/O errors and killed processes. A stage's own refusal is final.
RETRIES = dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


def asset_settings(
    name: str, gates: GateNames, *, code_version: str, kinds: set[str], hardware: str, heavy: bool
) -> dict[str, Any]:
    """Arguments of `@dg.asset`.

    `hardware` ("gpu" | "cpu") is a preference that executors may route by; `heavy` steps share the pool
    of the accelerator, or of the cores where there is none.
    """
    return {
        "name": name,
        "partitions_def": videos,
        "group_name": GROUP,
        "kinds": kinds,
        "code_version": code_version,
        "io_manager_key": "artifacts",
        "retry_policy": RETRIES,
        "backfill_policy": dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
        "check_specs": check_specs(name, gates),
        "op_tags": {HARDWARE_TAG: hardware},
        "pool": GPU_POOL if heavy else None,
    }
