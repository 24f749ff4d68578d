"""External stages in a run: what the deployment and the person chose, with the hardware profile of a container."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.external.descriptor import ASSETS, Program
from reconstruction_pipeline.external.loading import find_program, program_of
from reconstruction_pipeline.external.selection import chosen_programs, parse_selection
from reconstruction_pipeline.external.stage import ExternalStage
from reconstruction_pipeline.orchestration.hardware.profiles import HardwareProfile, load_profiles
from reconstruction_pipeline.settings import Operation, load_settings

USUAL_PROFILES = {
    "cpu": HardwareProfile(),
    "gpu": HardwareProfile(
        container_kwargs={"device_requests": [{"driver": "nvidia", "count": -1, "capabilities": [["gpu"]]}]}
    ),
}
"""Where the deployment names no profiles of its own."""


def programs_of_run(choice: Mapping[str, str], allow_noncommercial: bool) -> dict[str, Program]:
    """The program of each asset that is not made by us: the run's choice over the deployment's.

    Raises `UsageError` for a choice that cannot be, or that its licence forbids.
    """
    operation = load_settings().operation
    selection = parse_selection([*operation.external, *(f"{stage}={named}" for stage, named in choice.items())])
    return chosen_programs(selection, allow_noncommercial or operation.allow_noncommercial, _folders(operation))


def external_stage(program: Program, logs: Path | None = None) -> ExternalStage:
    """The program with what its container gets here; `logs` takes those of failed attempts."""
    failed_logs = str(logs) if logs else ""
    if program.run_in != "container" or program.container is None:
        return ExternalStage(program, failed_logs=failed_logs)
    path = load_settings().operation.profiles
    profiles = load_profiles(path) if path else USUAL_PROFILES
    name = program.container.profile
    if name not in profiles:
        raise UsageError(
            f"{program.name}: there is no hardware profile '{name}'; there are {', '.join(sorted(profiles))}."
        )
    return ExternalStage(program, dict(profiles[name].container_kwargs), profiles[name].env_vars, failed_logs)


def options_of(
    asset: str, choice: Mapping[str, str], allow_noncommercial: bool, logs: Path
) -> dict[str, ExternalStage]:
    """What the stage function of `asset` is called with on top: `external`, where a program was chosen for it."""
    if asset not in ASSETS.values():
        return {}
    program = programs_of_run(choice, allow_noncommercial).get(asset)
    return {"external": external_stage(program, logs)} if program else {}


def fallback_poses() -> ExternalStage | None:
    """The program that this deployment has for captures that COLMAP fails on (`RECONSTRUCTION_POSES_COMMAND`).

    Either a descriptor, or a command line with {images} and {output}.
    """
    operation = load_settings().operation
    command = operation.poses_command
    if not command:
        return None
    if len(command) == 1 and "{" not in command[0]:
        return external_stage(find_program(command[0], _folders(operation)))
    name = "".join(letter if letter.isalnum() else "-" for letter in Path(command[0]).name.lower()).strip("-")
    body: dict[str, Any] = {
        "name": name or "program",
        "stage": "poses",
        "licence": "not stated",
        "commercial_use": True,
        "reads": {"images": "image-folder"},
        "writes": {".": "colmap"},
        "argv": list(command),
        "time_limit_minutes": 1200,
    }
    return external_stage(program_of(body, "RECONSTRUCTION_POSES_COMMAND"))


def _folders(operation: Operation) -> tuple[Path, ...]:
    return (operation.programs,) if operation.programs else ()
