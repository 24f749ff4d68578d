"""A step's place on its machine: one card that no other step uses, and its share of the cores.

Pools count, they do not assign: with a limit of two on a machine with two cards, both steps would take card 0, and
on a machine with none both would start a thread for every core. So a step of the pool leases a card, or one of as
many shares of the cores as the pool has places.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from reconstruction_pipeline.orchestration.hardware.leases import lease_one
from reconstruction_pipeline.orchestration.names import GPU_POOL, HARDWARE_TAG
from reconstruction_pipeline.settings import Operation, load_settings

DEVICES = Path("/dev")


@dataclass(frozen=True)
class Place:
    """What the stage's process gets: variables on top of ours, and the only cores it may use (all, if empty)."""

    environment: Mapping[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = ()


@contextmanager
def place_of_step(
    context: dg.AssetExecutionContext, scratch: Path, device: str, say: Callable[[str], None]
) -> Iterator[Place]:
    """Hold the step's place; `device` is the run's choice ("auto", "cpu" or "cuda").

    A step that prefers a GPU takes a card where there is one. Other steps of the pool share the cores, unless
    containers do that already.
    """
    operation, folder = load_settings().operation, scratch / "leases"
    cards = cards_of(operation)
    if context.op_def.tags.get(HARDWARE_TAG) == "gpu" and device != "cpu" and cards:
        with lease_one(folder, [f"gpu-{card}" for card in cards], say) as name:
            yield Place({"CUDA_VISIBLE_DEVICES": name.removeprefix("gpu-")})
    elif context.op_def.pool == GPU_POOL and operation.executor == "processes" and (count := places(context)) > 1:
        with lease_one(folder, [f"cores-{number}-of-{count}" for number in range(count)], say) as name:
            yield Place(cores=share_of_cores(int(name.split("-")[1]), count))
    else:
        yield Place()


def cards_of(operation: Operation, devices: Path = DEVICES) -> tuple[str, ...]:
    """Ids of the cards that steps may use: those of the settings, else every NVIDIA device file."""
    if operation.gpus is not None:
        return operation.gpus
    found = (re.fullmatch(r"nvidia(\d+)", path.name) for path in devices.glob("nvidia*"))
    return tuple(str(number) for number in sorted(int(match[1]) for match in found if match))


def places(context: dg.AssetExecutionContext) -> int:
    """How many steps of the pool may run at a time, in all runs together; 1 where nobody has said."""
    return max(1, context.instance.event_log_storage.get_concurrency_info(GPU_POOL).slot_count)


def share_of_cores(number: int, count: int) -> tuple[int, ...]:
    """Every `count`-th core of ours from `number` on; more shares than cores overlap."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    cores = sorted(os.sched_getaffinity(0))
    return tuple(cores[number % len(cores) :: count])
