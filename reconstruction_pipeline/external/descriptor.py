"""What is written down about a program that is not ours: enough to run it, to watch it and to judge its licence.

Field by field this is the descriptor file; docs/external.md explains it with examples.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

StageName = Literal["poses", "training", "meshing", "compression"]
ASSETS: dict[str, str] = {
    "poses": "camera_poses",
    "training": "gaussian_splats",
    "meshing": "mesh",
    "compression": "compressed_splats",
}
"""The asset that a stage's program makes."""

Word = str | tuple[str, ...]
"""A word of a command; a tuple of words is left out as a whole where one of its placeholders has no value."""


@dataclass(frozen=True, config=STRICT)
class Container:
    """Where it runs if not as a process: `image` is never pulled by us.

    `profile`: hardware profile by name ("gpu" asks for every NVIDIA card unless the deployment's profiles say
    otherwise). `network`: "none" by default, as nothing should be fetched during a run. `user`: "caller" runs as we
    do, so that we may read and delete what it leaves. `mounts`: "/host/path:/path/inside", read only.
    """

    image: Annotated[str, Field(min_length=1)]
    profile: str = "cpu"
    network: Literal["none", "bridge", "host"] = "none"
    user: Literal["caller", "image"] = "caller"
    mounts: tuple[str, ...] = ()


@dataclass(frozen=True, config=STRICT)
class Watch:
    """Regular expressions over what it prints, line by line; the last match counts.

    `progress` has the groups `percent`, or `done` with `total` (or with the field `total`, which may be a placeholder).
    `curve` has the groups `step` and `loss`. `metrics`: name to an expression with the group `value`.
    """

    progress: str = ""
    total: str = ""
    curve: str = ""
    metrics: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, config=STRICT)
class Resume:
    """How an interrupted run goes on: `argv` is added, and {checkpoint} is the newest `checkpoint` in its output."""

    checkpoint: Annotated[str, Field(min_length=1)]
    argv: tuple[str, ...]


@dataclass(frozen=True, config=STRICT)
class Frame:
    """Where the result is in a world of the program's own: `cameras`, a file in its output, says where they are there.

    As 3DGS's descendants write it: a JSON list of objects with `image_name` (without its suffix), `R` (camera to
    world, 3x3) and `T` (world to camera).
    """

    cameras: Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, config=STRICT)
class Step:
    """One of several commands that run one after the other."""

    argv: Annotated[tuple[Word, ...], Field(min_length=1)]


@dataclass(frozen=True, config=STRICT)
class Program:
    """One external stage.

    `reads`: placeholder to format, and `writes`: path in the output folder (may hold `*`) to format; `formats` lists
    those of each stage. `argv`, or `steps` for several commands: words with {placeholders}, run as they are and never
    by a shell. `environment` is added to a small set of ours; `inherit` names more of ours to hand on.
    `parameters` are placeholders with these values. `commercial_use`: whether the licence allows it. `verified`: on
    what the real program was run with this file, "" for never. `install`: how to get it, said where it is missing.
    Without `frame`, the result is in the world it was given. `pipes`: whether it speaks Dagster Pipes.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    stage: StageName
    licence: Annotated[str, Field(min_length=1)]
    commercial_use: bool
    reads: Annotated[dict[str, str], Field(min_length=1)]
    writes: Annotated[dict[str, str], Field(min_length=1)]
    argv: tuple[Word, ...] = ()
    steps: tuple[Step, ...] = ()
    summary: str = ""
    homepage: str = ""
    install: str = ""
    verified: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    inherit: tuple[str, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)
    run_in: Literal["process", "container"] = "process"
    container: Container | None = None
    time_limit_minutes: Annotated[float, Field(gt=0, le=1200)] = 60.0
    log_limit_mb: Annotated[float, Field(ge=1, le=1000)] = 64.0
    watch: Watch = field(default_factory=Watch)
    resume: Resume | None = None
    frame: Frame | None = None
    pipes: bool = False

    @property
    def commands(self) -> tuple[tuple[Word, ...], ...]:
        """What is run, in order."""
        return tuple(step.argv for step in self.steps) or (self.argv,)

    @property
    def asset(self) -> str:
        """The asset it makes."""
        return ASSETS[self.stage]

    @property
    def backend(self) -> str:
        """What metrics, lineage and report call it."""
        return f"external-{self.name}"

    @property
    def digest(self) -> str:
        """Of everything the file says, so that a changed descriptor is another program."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]
