"""Which external programs are described, and which could run on this machine; for `reconstruct doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import MissingRequirement, UsageError
from reconstruction_pipeline.external.descriptor import Program
from reconstruction_pipeline.external.jobs import require_here
from reconstruction_pipeline.external.loading import descriptor_files, load_program
from reconstruction_pipeline.external.stage import ExternalStage


@dataclass(frozen=True)
class Health:
    """One descriptor: whether it could run here, `detail` on licence and trial, and what is in the way."""

    name: str
    path: str
    present: bool
    detail: str
    problem: str = ""


def examine_programs(folders: Iterable[Path] = (), named: Iterable[str] = ()) -> Iterator[Health]:
    """Every descriptor that comes with the pipeline, lies in `folders`, or is `named` by its path."""
    files = descriptor_files(folders)
    files |= {path.stem: path for path in map(Path, named) if path.suffix}
    engine: dict[str, str] = {}
    for name, path in sorted(files.items()):
        try:
            program = load_program(path)
        except UsageError as error:
            yield Health(name, str(path), False, "the descriptor is wrong", str(error))
            continue
        problem = _in_the_way(program, engine)
        yield Health(program.name, str(path), not problem, _detail(program), problem)


def _detail(program: Program) -> str:
    use = program.licence if program.commercial_use else f"{program.licence}: non-commercial use only"
    tried = f"verified: {program.verified}" if program.verified else "unverified: never run with the real program"
    where = f"container {program.container.image}" if program.container and program.run_in == "container" else "process"
    return f"{program.stage}; {use}; {tried}; {where}"


def _in_the_way(program: Program, engine: dict[str, str]) -> str:
    if program.run_in == "container" and program.container:
        image = program.container.image
        if image not in engine:
            engine[image] = _no_image(image)
        return engine[image]
    try:
        require_here(ExternalStage(program))
    except MissingRequirement as error:
        return str(error)
    return ""


def _no_image(image: str) -> str:
    """Why containers of that image cannot be started; "" if they can."""
    try:
        from docker.client import DockerClient

        DockerClient.from_env(timeout=5).images.get(image)
    except Exception as error:  # no package, no engine, no image: all in the way alike
        return f"no image '{image}' ({' '.join(str(error).split())[:160]})"
    return ""
