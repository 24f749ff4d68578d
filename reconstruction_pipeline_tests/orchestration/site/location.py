"""The project's own definitions with stand-ins for its stages: what the processes of a test's deployment load.

Everything else is real: assets, IO manager, sensors, executor, retry policy (with shorter pauses) and the child
process of every stage. With `<STAND_INS>/train` there, training is real too, on a scene of a few seconds.
"""

import os
from dataclasses import replace
from pathlib import Path

import dagster as dg

from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.orchestration import pipeline, retries
from reconstruction_pipeline.orchestration.stage_process import StageCall, StageOutcome, run_stage_process
from reconstruction_pipeline.stages.splats.settings import TrainSettings

MODULE = "reconstruction_pipeline_tests.orchestration.site"
INGEST = "reconstruction_pipeline.stages.ingest:ingest"
REPORT = "reconstruction_pipeline.report:build_report"
TRAINED = {
    "reconstruction_pipeline.stages.poses:estimate_poses": "posed_scene",
    "reconstruction_pipeline.stages.depth:estimate_depth": "true_depth",
}
TRAINING = "reconstruction_pipeline.stages.splats:gaussian_splats"


def in_place_of(call: StageCall) -> StageCall:
    """The call that is made instead."""
    real_training = Path(os.environ["STAND_INS"], "train").exists()
    if call.entry in (INGEST, REPORT):
        return replace(call, entry=f"{MODULE}.stand_ins:itself", args=(call.entry, *call.args))
    if real_training and call.entry in TRAINED:
        return replace(call, entry=f"{MODULE}.stand_ins:{TRAINED[call.entry]}")
    if real_training and call.entry == TRAINING:
        return replace(call, args=tuple(_hurried(arg) for arg in call.args))
    return replace(call, entry=f"{MODULE}.stand_ins:stand_in", args=(call.entry, *call.args))


def _hurried(arg: object) -> object:
    """Training with a checkpoint every tenth of a second in place of every half minute."""
    if not isinstance(arg, TrainSettings):
        return arg
    return replace(arg, checkpoint_seconds=0.1, holdout=4, max_splats=1500, seed=5)


def _run(call: StageCall, progress: Progress) -> StageOutcome:
    return run_stage_process(in_place_of(call), progress)


pipeline.run_stage_process = _run
retries.RETRIES = dg.RetryPolicy(max_retries=retries.RETRIES.max_retries, delay=1)

from reconstruction_pipeline.definitions import defs  # noqa: E402

__all__ = ["defs"]
