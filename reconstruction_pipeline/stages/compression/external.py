"""Small files written by another program, decoded and measured like ours."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import sh_degree_of, write_ply
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.stages.compression.codecs import WriteOptions, read_splats
from reconstruction_pipeline.stages.compression.delivery import Delivery, deliver
from reconstruction_pipeline.stages.compression.fidelity import Yardstick
from reconstruction_pipeline.stages.compression.settings import CompressionSettings

if TYPE_CHECKING:
    from reconstruction_pipeline.external.stage import ExternalStage, Outcome

WORK = ".external"


@dataclass(frozen=True)
class Made:
    """The files that a program wrote, by suffix without the dot, and how its run went."""

    files: Mapping[str, Path]
    external: ExternalStage
    outcome: Outcome

    def deliver(
        self,
        name: str,
        workspace: Path,
        scene: Gaussians,
        ply_bytes: int,
        yardstick: Yardstick,
        tick: Callable[[int, int], None],
    ) -> Delivery:
        """Its file of that format as `scene.<name>`, measured; the seconds are those of the program's whole run."""

        def put(path: Path, scene: Gaussians, options: WriteOptions) -> None:
            shutil.copyfile(self.files[name], path)

        path = workspace / f"scene.{name}"
        delivery = deliver(path, scene, ply_bytes, WriteOptions(), yardstick, tick, put)
        return replace(delivery, seconds=self.outcome.seconds)

    def metrics(self) -> dict[str, Any]:
        """Who wrote what, beside what every external stage tells."""
        return {**self.outcome.metrics(self.external), "external_formats": sorted(self.files)}


def compress_externally(
    scene: Gaussians, settings: CompressionSettings, workspace: Path, progress: Progress, external: ExternalStage
) -> Made:
    """Let the program write `scene`; every file it left can be decoded.

    Raises what `run_external` raises, and `StageFailed` for a file that our reader refuses. The files lie in
    `workspace/.external` until `remove_work`.
    """
    from reconstruction_pipeline.external.failures import rejected
    from reconstruction_pipeline.external.run import LOG, run_external

    workspace.mkdir(parents=True, exist_ok=True)
    work, log = workspace / WORK, workspace / LOG
    splats = work / "input" / "scene.ply"
    splats.parent.mkdir(parents=True, exist_ok=True)
    write_ply(splats, scene, sh_degree_of(scene))
    outcome = run_external(external, {"splats": splats}, {"seed": settings.seed}, work, log, progress)
    for form, path in outcome.results.items():
        checked = work / f"checked.{form}"
        shutil.copyfile(path, checked)  # whatever it is called, it is read as what the descriptor says
        try:
            read_splats(checked)
        except InvalidArtifact as error:
            raise rejected(external, log, f"left a .{form} that cannot be decoded ({error})") from error
        finally:
            checked.unlink(missing_ok=True)
    return Made(outcome.results, external, outcome)


def remove_work(workspace: Path) -> None:
    """Delete what was only made for the program."""
    shutil.rmtree(workspace / WORK, ignore_errors=True)
