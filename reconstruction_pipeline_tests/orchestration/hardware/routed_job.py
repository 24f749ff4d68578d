"""A job whose steps want different hardware, run in containers by the tests."""

import os
from pathlib import Path

import dagster as dg

from reconstruction_pipeline.orchestration.hardware.containers import hardware_containers
from reconstruction_pipeline.orchestration.hardware.tags import hardware_tags


@dg.op(tags=hardware_tags("cpu"))
def on_cpu() -> None:
    """Sees no device."""
    assert Path("/.dockerenv").exists() and not Path("/dev/nvidia0").exists()


@dg.op(tags=hardware_tags("gpu"))
def on_gpu() -> None:
    """Sees the profile's device and variable."""
    assert Path("/dev/nvidia0").exists() and os.environ["SEEN_BY"] == "the gpu profile"


@dg.op(tags=hardware_tags("gpu"), retry_policy=dg.RetryPolicy(max_retries=1))
def crashes_once(context: dg.OpExecutionContext) -> None:
    """Ends its process as a kernel does, and is well the second time."""
    if context.retry_number == 0:
        print("last words of a dying step", flush=True)
        os._exit(137)


@dg.job(executor_def=hardware_containers)
def routed() -> None:
    """Three steps, three containers and a fourth for the second attempt."""
    on_cpu()
    on_gpu()
    crashes_once()


@dg.op(tags=hardware_tags("gpu"))
def on_a_real_gpu() -> None:
    """Its container cannot be started where there is no NVIDIA driver."""


@dg.op(tags=hardware_tags("cpu"))
def beside_it() -> None:
    """Is not harmed."""


@dg.job(executor_def=hardware_containers)
def needs_a_driver() -> None:
    """A step that Docker refuses beside one that it does not."""
    on_a_real_gpu()
    beside_it()
