"""From a descriptor to what the supervisor starts: the very words, variables and mounts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from reconstruction_pipeline.external import environment
from reconstruction_pipeline.external.failures import missing
from reconstruction_pipeline.external.filling import Values
from reconstruction_pipeline.external.stage import ExternalStage


def require_here(stage: ExternalStage) -> None:
    """Raise `MissingRequirement` where a program that runs as a process is not on this machine."""
    if stage.program.run_in == "process":
        for command in stage.program.commands:
            _file_of(stage, str(command[0]))


def job_of(stage: ExternalStage, words: list[str], values: Values, work: Path) -> dict[str, Any]:
    """The supervisor's order for one command; raises `MissingRequirement` where there is no such program."""
    program = stage.program
    job: dict[str, Any] = {"kind": program.run_in, "name": program.name, "argv": words, "cwd": str(work)}
    if program.run_in == "process" or program.container is None:
        variables = environment.for_process(program, values)
        return {**job, "argv": [_file_of(stage, words[0]), *words[1:]], "environment": variables}
    binds = {str(work): {"bind": str(work), "mode": "rw"}}
    for mount in program.container.mounts:
        source, _, target = mount.partition(":")
        binds[source] = {"bind": target, "mode": "ro"}
    return {
        **job,
        "image": program.container.image,
        "environment": environment.for_container(program, values, work, stage.container_environment),
        "binds": binds,
        "network": program.container.network,
        "user": f"{os.getuid()}:{os.getgid()}" if program.container.user == "caller" else "",
        "kwargs": dict(stage.container_kwargs),
    }


def _file_of(stage: ExternalStage, name: str) -> str:
    found = environment.find(name)
    if found is None:
        raise missing(stage, f"{stage.who} is not on this machine (there is no '{name}' on the path)")
    return found
