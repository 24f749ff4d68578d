"""Which stage is done by which program: `training=graphdeco-3dgs`, by a descriptor's name or its path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.external.descriptor import ASSETS, Program
from reconstruction_pipeline.external.loading import find_program
from reconstruction_pipeline.external.permission import require_permission

OURS = "ours"
"""In place of a program: the pipeline's own stage, where the deployment's settings name another."""


def parse_selection(items: Iterable[str]) -> dict[str, str]:
    """Stage to program from `STAGE=PROGRAM` items; raises `UsageError` for anything else."""
    chosen: dict[str, str] = {}
    for item in items:
        stage, mark, program = item.partition("=")
        if not mark or not program.strip():
            raise UsageError(f"'{item}' names no external program; write STAGE=PROGRAM, such as training=trainer.toml.")
        chosen[stage_named(stage.strip())] = program.strip()
    return chosen


def stage_named(name: str) -> str:
    """The stage of that name, or of the asset of that name; raises `UsageError` for any other."""
    by_asset = {asset: stage for stage, asset in ASSETS.items()}
    if name not in ASSETS and name not in by_asset:
        raise UsageError(f"there is no external stage '{name}'; choose {', '.join(ASSETS)}.")
    return by_asset.get(name, name)


def chosen_programs(
    selection: Mapping[str, str], noncommercial: bool, folders: Iterable[Path] = ()
) -> dict[str, Program]:
    """The permitted programs by asset; raises `UsageError` for one that does not exist, fit or may not be used."""
    programs = {}
    for name, named in selection.items():
        stage = stage_named(name)
        if named == OURS:
            continue
        program = find_program(named, folders)
        if program.stage != stage:
            raise UsageError(f"{named}: {program.name} is a program for {program.stage}, not for {stage}.")
        require_permission(program, noncommercial)
        programs[program.asset] = program
    return programs
