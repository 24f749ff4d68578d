"""Faults of a real training, run by the real process executor: killed at any level, and canceled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from reconstruction_pipeline.artifacts import GaussianSplats
from reconstruction_pipeline.stages.splats import TrainSettings, checkpoint
from reconstruction_pipeline_tests.analytic_scene import make_scene, write_poses
from reconstruction_pipeline_tests.orchestration.faults.table import Row
from reconstruction_pipeline_tests.orchestration.site.deployment import Site, parent_of
from reconstruction_pipeline_tests.orchestration.site.servers import wait_until
from reconstruction_pipeline_tests.stages.splats import test_resume

BEFORE = ("source_video", "keyframes", "camera_poses", "depth_maps")
STEPS = 30_000
LEVELS = ("stage", "step", "run worker")


def kill_training_process(folder: Path, seed: int, times: int = 20) -> Row:
    """Kills at random moments of one training, which in the end must equal one that nobody disturbed."""
    rng, ages, steps = random.Random(seed), [], []
    scene, settings = folder / "project", TrainSettings(steps=9000, seconds=None, **test_resume.SHORT)
    write_poses(scene, make_scene(count=9, width=96, height=72), points=1200)
    path = folder / "killed" / checkpoint.NAME
    for _ in range(times):
        child = test_resume.start(scene, folder / "killed", settings)
        before = steps[-1] if steps else 0
        _wait_for_step(path, before)
        time.sleep(rng.uniform(0.0, 0.15))
        assert child.poll() is None, "the training ended before it could be killed"
        child.kill()
        child.communicate()
        ages.append(time.time() - path.stat().st_mtime)
        steps.append(saved_step(path))
        assert steps[-1] >= before
    child = test_resume.start(scene, folder / "killed", settings)
    assert json.loads(child.communicate()[0])["steps"] == 9000 and child.returncode == 0
    calm = test_resume.start(scene, folder / "calm", settings)
    calm.communicate()
    same = [(folder / name / "scene.ply").read_bytes() for name in ("killed", "calm")]
    assert same[0] == same[1], "the disturbed training made another scene"
    lost = f"what came after the last checkpoint: at most {max(ages):.2f} s (one every 0.02 s here)"
    outcome = f"resumed every time, at steps {steps[0]} to {steps[-1]} of 9000; equal to an undisturbed one bit for bit"
    return Row("kill -9 at random moments of training", times, lost, outcome)


def _wait_for_step(path: Path, before: int) -> None:
    """Until there is a later checkpoint than that of a step."""
    wait_until(lambda: saved_step(path) > before, 600, lambda: f"no checkpoint after step {before}", 0.01)


def saved_step(path: Path) -> int:
    """The step of a checkpoint, 0 where there is none."""
    if not path.is_file():
        return 0
    with np.load(path) as data:
        return int(json.loads(str(data["meta"]))["step"])


def prepare(site: Site, key: str) -> None:
    """A video with everything that training needs."""
    (site.steering / "train").touch()
    site.register(key)
    site.succeeds(site.launch(key, BEFORE))


def train(site: Site, key: str) -> str:
    """Start a run of the training alone; its id."""
    return site.launch(key, ["gaussian_splats"], device="cpu", stages={"gaussian_splats": {"steps": STEPS}})


def checkpoint_of(site: Site, key: str) -> Path | None:
    """The checkpoint of a video's training, once there is one."""
    return next((site.scratch / "checkpoints" / key).glob("gaussian_splats-*/checkpoint.npz"), None)


def step_of(site: Site, key: str) -> int:
    """The step of the last checkpoint, 0 before the first."""
    path = checkpoint_of(site, key)
    return saved_step(path) if path else 0


def process_of(site: Site, level: str) -> int:
    """The process to kill: the stage's, the step's that started it, or the run's that started that one."""
    (stage,) = site.running("stage_worker")
    step = parent_of(stage)
    return {"stage": stage, "step": step, "run worker": parent_of(step)}[level]


def _wait_for_progress(site: Site, key: str, reached: int) -> None:
    """Until a process trains and has saved more than before."""
    wait_until(lambda: site.running("stage_worker") and step_of(site, key) > reached, 600, site.code.tail)


def kill_training(site: Site, seed: int, times: int = 6) -> Row:
    """Kills of a run that trains, at every level, which in the end must equal one that nobody disturbed."""
    rng, ages, kills, runs, reached = random.Random(seed), [], 0, 0, 0
    # As set-up does: a process that compiles a kernel for itself gets other last digits than those that find it made.
    subprocess.run([sys.executable, "-m", "reconstruction_pipeline.warmup"], env=site.environment, check=True, cwd="/")
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
                wait_until(lambda: not site.running("stage_worker"), 60, lambda: "the stage outlives its run")
            now = step_of(site, "disturbed")
            assert now >= reached, "a kill took back a checkpoint"
            reached = now
        assert site.ends(run_id) == "FAILURE"
        wait_until(lambda: site.places_taken() == 0, 120, lambda: "a place of the pool was not given back", 0.5)
    assert 0 < reached < STEPS
    site.succeeds(train(site, "disturbed"))
    prepare(site, "calm")
    site.succeeds(train(site, "calm"))
    scenes = {key: site.store().load(GaussianSplats, key) for key in ("disturbed", "calm")}
    same = scenes["disturbed"].path("scene.ply").read_bytes() == scenes["calm"].path("scene.ply").read_bytes()
    assert same, "the disturbed training made another scene"
    site.check_sound("disturbed", (*BEFORE, "gaussian_splats"))
    lost = f"what came after the last checkpoint: at most {max(ages):.1f} s, {np.median(ages):.2f} s in the middle"
    outcome = f"{runs} runs, each killed at its stage, its step and its worker; the scene equals an undisturbed one"
    return Row("kill -9 of a run that trains, at every level", kills, lost, f"{outcome} bit for bit")


def cancel_training(site: Site, seed: int, times: int = 2) -> Row:
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
        wait_until(lambda: not site.running("stage_worker"), 60)
        wait_until(lambda: site.places_taken() == 0, 120, lambda: "a place of the pool was not given back", 0.5)
        reached = step_of(site, "canceled")
    site.succeeds(train(site, "canceled"))
    site.check_sound("canceled", (*BEFORE, "gaussian_splats"))
    outcome = f"canceled within {max(took):.0f} s, no process left, places free; the next run goes on"
    return Row("canceled from the UI during training", times, "what came after the last checkpoint", outcome)
