"""A job whose steps want different hardware, run in containers by the tests."""

import os
from pathlib import Path

import dagster as dg

from reconstruction_pipeline.orchestration.hardware.containers import hardware_containers
from reconstruction_pipeline.orchestration.hardware.tags import hardware_tags
from reconstruction_pipeline.orchestration.names import HARDWARE_TAG


@dg.op(tags=hardware_tags("cpu"))
def on_cpu() -> None:
    """Sees no device."""
    assert Path("/.dockerenv").exists() and not Path("/dev/nvidia0").exists()


@dg.op(tags=hardware_tags("gpu"), retry_policy=dg.RetryPolicy(max_retries=1))
def on_gpu(context: dg.OpExecutionContext) -> None:
    """Sees the profile's device and variable; its first attempt then ends as a kernel ends a process."""
    assert Path("/dev/nvidia0").exists() and os.environ["SEEN_BY"] == "the gpu profile"
    if context.retry_number == 0:
        print("last words of a dying step", flush=True)
        os._exit(137)


@dg.op(tags={HARDWARE_TAG: "real gpu"})
def on_a_real_gpu() -> None:
    """Its container cannot be started where there is no NVIDIA driver."""


@dg.job(executor_def=hardware_containers)
def routed() -> None:
    """Three steps, two containers and a third for the second attempt: each start costs seconds."""
    on_cpu()
    on_gpu()
    on_a_real_gpu()
