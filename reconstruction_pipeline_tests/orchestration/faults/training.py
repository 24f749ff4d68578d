"""Faults of a real training, run by the real process executor: killed at any level, and canceled."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import numpy as np

from reconstruction_pipeline.artifacts import GaussianSplats
from reconstruction_pipeline_tests.orchestration.faults.table import Row
from reconstruction_pipeline_tests.orchestration.site.deployment import Site, parent_of
from reconstruction_pipeline_tests.orchestration.site.servers import wait_until

BEFORE = ("source_video", "keyframes", "camera_poses", "depth_maps")
STEPS = 30_000
LEVELS = ("stage", "step", "run worker")


def prepare(site: Site, key: str) -> None:
    """A video with everything that training needs."""
    (site.steering / "train").touch()
    site.register(key)
    assert site.ends(site.launch(key, BEFORE)) == "SUCCESS"


def train(site: Site, key: str) -> str:
    """Start a run of the training alone; its id."""
    return site.launch(key, ["gaussian_splats"], device="cpu", stages={"gaussian_splats": {"steps": STEPS}})


def checkpoint_of(site: Site, key: str) -> Path | None:
    """The checkpoint of a video's training, once there is one."""
    return next((site.scratch / "checkpoints" / key).glob("gaussian_splats-*/checkpoint.npz"), None)


def step_of(site: Site, key: str) -> int:
    """The step of the last checkpoint, 0 before the first."""
    path = checkpoint_of(site, key)
    if path is None:
        return 0
    with np.load(path) as data:
        return int(json.loads(str(data["meta"]))["step"])


def process_of(site: Site, level: str) -> int:
    """The process to kill: the stage's, the step's that started it, or the run's that started that one."""
    (stage,) = site.running("stage_worker")
    step = parent_of(stage)
    return {"stage": stage, "step": step, "run worker": parent_of(step)}[level]


def _wait_for_progress(site: Site, key: str, reached: int) -> None:
    """Until a process trains and has saved more than before."""
    wait_until(lambda: site.running("stage_worker") and step_of(site, key) > reached, 180, site.code.tail)


def kill_training(site: Site, seed: int, times: int = 21) -> Row:
    """Kills at random moments of one training, which in the end must equal one that nobody disturbed."""
    rng, ages, kills, runs, reached = random.Random(seed), [], 0, 0, 0
    prepare(site, "disturbed")
    while kills < times:
        run_id, runs = train(site, "disturbed"), runs + 1
        for level in LEVELS:  # the first two are tried again by the run, the last ends it
            _wait_for_progress(site, "disturbed", reached)
            time.sleep(rng.uniform(0.0, 1.0))
            victim = process_of(site, level)
            path = checkpoint_of(site, "disturbed")
            assert path is not None, "the training ended before it could be killed"
            ages.append(time.time() - path.stat().st_mtime)
            os.kill(victim, signal.SIGKILL)
            kills += 1
            if level == "run worker":
                wait_until(lambda: not site.running("stage_worker"), 20, lambda: "the stage outlives its run")
            now = step_of(site, "disturbed")
            assert now >= reached, "a kill took back a checkpoint"
            reached = now
        assert site.ends(run_id) == "FAILURE"
        assert site.places_taken() == 0
    assert 0 < reached < STEPS
    assert site.ends(train(site, "disturbed")) == "SUCCESS"
    prepare(site, "calm")
    assert site.ends(train(site, "calm")) == "SUCCESS"
    scenes = {key: site.store().load(GaussianSplats, key) for key in ("disturbed", "calm")}
    same = scenes["disturbed"].path("scene.ply").read_bytes() == scenes["calm"].path("scene.ply").read_bytes()
    assert same, "the disturbed training made another scene"
    site.check_sound("disturbed", (*BEFORE, "gaussian_splats"))
    lost = f"what came after the last checkpoint: at most {max(ages):.1f} s, {np.median(ages):.2f} s in the middle"
    outcome = f"{runs} runs, each killed at its stage, its step and its worker; the scene equals an undisturbed one"
    return Row("kill -9 at random moments of training", kills, lost, f"{outcome} bit for bit")


def cancel_training(site: Site, seed: int, times: int = 3) -> Row:
    """Canceled from the UI at random moments; the next run goes on from the checkpoint."""
    rng, reached, took = random.Random(seed), 0, []
    prepare(site, "canceled")
    for _ in range(times):
        run_id = train(site, "canceled")
        _wait_for_progress(site, "canceled", reached)
        time.sleep(rng.uniform(0.0, 1.0))
        began = time.monotonic()
        assert site.terminate(run_id) == "TerminateRunSuccess"
        assert site.ends(run_id) == "CANCELED"
        took.append(time.monotonic() - began)
        wait_until(lambda: not site.running("stage_worker"), 20)
        assert site.places_taken() == 0
        reached = step_of(site, "canceled")
    assert site.ends(train(site, "canceled")) == "SUCCESS"
    site.check_sound("canceled", (*BEFORE, "gaussian_splats"))
    outcome = f"canceled within {max(took):.0f} s, no process left, places free; the next run goes on"
    return Row("canceled from the UI during training", times, "what came after the last checkpoint", outcome)
