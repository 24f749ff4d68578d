"""A line whose stages return small synthetic artifacts at once: all of Dagster's side, nothing of the craft's."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import dagster as dg

from reconstruction_pipeline.artifacts import Artifact, Verdict
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.definitions import defs
from reconstruction_pipeline.orchestration.catalog import Catalog, Entry
from reconstruction_pipeline.orchestration.names import JOB, VIDEOS
from reconstruction_pipeline.orchestration.stage_process import StageCall, StageOutcome
from reconstruction_pipeline.report import build_report
from reconstruction_pipeline_tests.orchestration.site.stand_ins import MAKERS
from reconstruction_pipeline_tests.report import scenes


@cache
def _drawn(maker: Callable[[Path], Artifact]) -> Artifact:
    """An artifact that copies are taken of: drawing its pictures takes longer than everything else."""
    folder = Path(tempfile.mkdtemp(prefix="canned-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = maker(folder / "made")
    if not made.previews():
        scenes.draw(made.path("previews", "preview.jpg"), (320, 180), len(maker.__name__))
    return made


@dataclass
class CannedStages:
    """Stands in for `run_stage_process`; `verdicts` and `errors` by entry's function name replace a stage's outcome."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    errors: dict[str, list[Exception]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    full_calls: list[StageCall] = field(default_factory=list)

    def __call__(self, call: StageCall, progress: Progress) -> StageOutcome:
        function = call.entry.split(":")[1]
        self.calls.append(function)
        self.full_calls.append(call)
        progress.report(function, 1, 1)
        if self.errors.get(function):
            raise self.errors[function].pop(0)
        if function == "build_report":
            return StageOutcome(build_report(*call.args, progress=progress), 50.0)
        drawn, workspace = _drawn(MAKERS[call.entry]), call.args[-1]
        shutil.copytree(drawn.folder, workspace, dirs_exist_ok=True)
        made = replace(drawn, folder=workspace)
        verdict = self.verdicts.get(function, Verdict())
        return StageOutcome(type(made)(made.folder, made.metrics, verdict), 123.0)


@dataclass
class Line:
    """An instance and a storage root with one registered video."""

    instance: dg.DagsterInstance
    storage: Path
    stages: CannedStages
    key: str = "walk"

    def register(self, origin: Path) -> None:
        origin.write_bytes(b"video")
        Catalog(str(self.storage)).register(Entry(self.key, str(origin)))
        self.instance.add_dynamic_partitions(VIDEOS, [self.key])

    def run(self, *assets: str, **pipeline: object) -> dg.ExecuteInProcessResult:
        config = {
            "resources": {"pipeline": {"config": pipeline}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        }
        return (
            defs.get_repository_def()
            .get_job(JOB)
            .execute_in_process(
                instance=self.instance,
                partition_key=self.key,
                run_config=config,
                raise_on_error=False,
                asset_selection=[dg.AssetKey(name) for name in assets] or None,
            )
        )
