"""Faults of Dagster's own processes, and of runs that should not be: on a deployment with stand-in stages."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from dataclasses import replace
from functools import partial

import dagster as dg

from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline.orchestration.operations.lost_runs import SENTENCE, STARTED
from reconstruction_pipeline.orchestration.runs import PARTITION_TAG
from reconstruction_pipeline_tests.orchestration.faults.table import Row
from reconstruction_pipeline_tests.orchestration.faults.training import process_of
from reconstruction_pipeline_tests.orchestration.site.deployment import Site, check_whole
from reconstruction_pipeline_tests.orchestration.site.servers import wait_until
from reconstruction_pipeline_tests.stages.captures import sliding_frames, write_video

GONE = "the process of the run is gone; its stage was stopped."
FUNCTIONS = {
    "camera_poses": "estimate_poses",
    "depth_maps": "estimate_depth",
    "gaussian_splats": "gaussian_splats",
    "mesh": "extract_mesh",
    "compressed_splats": "compress_splats",
}
"""Stages that a fault may be done to, and the functions that stand in for them."""


def upload(site: Site, name: str) -> str:
    """A new video in the watched folder; its key."""
    made = write_video(site.root / f"{name}.mp4", sliding_frames(20, seed=sum(name.encode())))
    partial = site.uploads / f".{name}.part"
    shutil.copyfile(made, partial)
    partial.rename(site.uploads / f"{name}.mp4")
    return name


def runs_of(site: Site, *keys: str) -> list[dg.DagsterRun]:
    """Every run of some videos."""
    with site.instance() as instance:
        return [run for run in instance.get_runs() if run.tags.get(PARTITION_TAG) in keys]


def says(site: Site, run_id: str, sentence: str) -> bool:
    """Whether a failure of a run says so."""
    return sentence in site.told(run_id)


def wait_for_scenes(site: Site, keys: list[str], seconds: float = 300) -> None:
    """Until every video has a successful run and nothing else runs."""

    def done() -> bool:
        runs = runs_of(site, *keys)
        good = {run.tags[PARTITION_TAG] for run in runs if run.is_success}
        return good == set(keys) and all(run.is_finished for run in runs)

    wait_until(done, seconds, lambda: f"{runs_of(site, *keys)}\n{site.daemon.tail()}\n{site.code.tail()}", 3.0)


def kill_daemon(site: Site, seed: int, times: int = 5) -> Row:
    """The daemon dies at random moments and is started again, as its container would be, while an upload grows."""
    rng = random.Random(seed)
    site.start_sensor("video_uploads")
    whole, keys = upload(site, "whole"), ["whole", "growing"]
    made = write_video(site.root / "growing.mp4", sliding_frames(40, seed=5)).read_bytes()
    for number in range(times):
        (site.uploads / "growing.mp4").write_bytes(made[: len(made) * (number + 1) // times])
        assert not runs_of(site, "growing"), "a half-written upload was begun"
        time.sleep(rng.uniform(0.0, 12.0))
        site.daemon.kill()
        time.sleep(rng.uniform(0.0, 3.0))
        site.daemon.start()
    wait_for_scenes(site, keys, 1200)
    assert len(runs_of(site, *keys)) == len(keys)
    for key in (whole, "growing"):
        site.check_sound(key)
    outcome = "two uploads, one of which grew meanwhile: each became one run once it was whole, and finished"
    return Row("kill -9 of the daemon; a half-written upload", times, "none", outcome)


def two_daemons(site: Site, seed: int, uploads: int = 4) -> Row:
    """A second daemon by mistake, while uploads arrive: no video may get two runs, and no stage be begun twice."""
    site.start_sensor("video_uploads")
    hold, before = site.steer("hold", "select_keyframes"), count_of(site, "select_keyframes")
    second = replace(site.daemon, name="second daemon", log=site.root / "second_daemon.log")
    second.start()
    try:
        keys = [upload(site, f"twice-{number}") for number in range(uploads)]
        wait_for_another(site, "select_keyframes", before + uploads - 1)
        time.sleep(35)  # for a tick more of each
        runs = runs_of(site, *keys)
    finally:
        second.stop()
    told = [site.told(run.run_id, dg.DagsterEventType.ENGINE_EVENT).count(STARTED) for run in runs]
    for run in runs:
        assert site.terminate(run.run_id) == "TerminateRunSuccess"
        assert site.ends(run.run_id) == "CANCELED"
    hold.unlink()
    assert Counter(run.tags[PARTITION_TAG] for run in runs) == dict.fromkeys(keys, 1)
    assert count_of(site, "select_keyframes") == before + uploads, "a run was at work twice"
    wait_until(lambda: site.places_taken() == 0, 60)
    outcome = f"{uploads} uploads became {len(runs)} runs; {sum(told) - len(runs)} second processes saw that and ended"
    return Row("two daemons by mistake", 1, "none", outcome)


def count_of(site: Site, function: str) -> int:
    """How often a stand-in began."""
    path = site.steering / "stages.jsonl"
    mark = f'"what": "began", "function": "{function}"'
    return path.read_text().count(mark) if path.exists() else 0


def wait_for_another(site: Site, function: str, before: int, seconds: float = 600) -> None:
    """Until a stand-in has begun once more than `before` times."""
    wait_until(lambda: count_of(site, function) > before, seconds, lambda: f"{site.daemon.tail()}{site.code.tail()}")


def line_of(site: Site, key: str = "base") -> str:
    """A video with a finished line, made when it is first asked for; its key."""
    if site.store().current_version(STAGES[-1], key) is None:
        site.register(key)
        site.succeeds(site.launch(key), 900)
    return key


def kill_code_server(site: Site, seed: int, times: int = 3) -> Row:
    """The code server, whose children the runs are, dies while a run is in a random stage; another stage follows."""
    rng, key = random.Random(seed), line_of(site)
    for stage in rng.sample(sorted(FUNCTIONS), times):
        function = FUNCTIONS[stage]
        hold, began = site.steer("hold", function), count_of(site, function)
        run_id = site.launch(key, [stage, "scene_report"])
        wait_for_another(site, function, began)
        site.code.kill()
        time.sleep(rng.uniform(0.0, 2.0))
        site.code.start()
        hold.unlink()
        site.succeeds(run_id)
    site.check_sound(key)
    return Row("kill -9 of the code server", times, "none", "the run goes on and finishes; new runs after its restart")


def kill_workers(site: Site, seed: int, times: int = 4) -> Row:
    """The run's worker dies in a random stage; what was stored before stays, and the next run does the rest."""
    rng, key = random.Random(seed), line_of(site)
    for _ in range(times):
        stage = rng.choice(sorted(FUNCTIONS))
        function, before = FUNCTIONS[stage], STAGES[STAGES.index(stage) - 1]
        hold, began = site.steer("hold", function), count_of(site, function)
        first, own = site.store().current_version(before, key), site.store().current_version(stage, key)
        run_id = site.launch(key, [before, stage])
        wait_for_another(site, function, began)
        time.sleep(rng.uniform(0.0, 1.0))
        os.kill(process_of(site, "run worker"), signal.SIGKILL)
        wait_until(lambda: not site.running("stage_worker"), 60, lambda: "the stage outlives its run")
        hold.unlink()
        assert site.ends(run_id) == "FAILURE"
        # By the code server, whose child it was, in an event before the failure, or by the sensor `lost_runs`.
        told = site.told(run_id, dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.RUN_FAILURE)
        assert SENTENCE in told or f"Run execution process for {run_id} was terminated" in told, told
        wait_until(partial(says, site, run_id, GONE), 60, partial(site.told, run_id), 1.0)
        wait_until(lambda: site.places_taken() == 0, 120, lambda: "a place of the pool was not given back", 0.5)
        assert check_whole(site.store(), before, key) != first, "a stage that had ended was lost"
        assert check_whole(site.store(), stage, key) == own
        site.succeeds(site.launch(key, [stage]))
    site.check_sound(key)
    outcome = "the run fails with a sentence, its steps end, its places are given back; the rest runs alone"
    return Row("kill -9 of the run worker", times, "the stage at work", outcome)


def short_of_memory(site: Site, seed: int, times: int = 3) -> Row:
    """The kernel kills a stage, as it does when memory is short; the step is tried again."""
    rng, key = random.Random(seed), line_of(site)
    for stage in rng.sample(sorted(FUNCTIONS), times):
        mark, before = site.steer("die", FUNCTIONS[stage]), count_of(site, FUNCTIONS[stage])
        site.succeeds(site.launch(key, [stage]))
        assert not mark.exists() and count_of(site, FUNCTIONS[stage]) == before + 2
    site.check_sound(key)
    return Row("a stage killed for its memory", times, "the stage", "tried again by its retry policy, finished")


def same_video_twice(site: Site, seed: int, times: int = 2) -> Row:
    """Two runs of the same stages of one video at the same time."""
    rng, key = random.Random(seed), line_of(site)
    for stage in rng.sample(sorted(FUNCTIONS), times):
        runs = [site.launch(key, [stage]) for _ in range(2)]
        for run_id in runs:
            site.succeeds(run_id)
    site.check_sound(key)
    return Row("two runs of one video at once", times, "none", "both finish; readers see whole versions only")


def out_of_time(site: Site, seed: int) -> Row:
    """A stage that takes for ever."""
    key = line_of(site)
    hold, before = site.steer("hold", "extract_mesh"), count_of(site, "extract_mesh")
    run_id = site.launch(key, ["mesh"], time_limit_factor=0.001)  # of two hours
    assert site.ends(run_id) == "FAILURE"
    hold.unlink()
    assert count_of(site, "extract_mesh") == before + 1, "tried again, though it would run out of time again"
    failure = site.store().failure("mesh", key)
    assert failure and "its limit" in failure.sentence
    site.succeeds(site.launch(key, ["mesh"]))
    site.check_sound(key)
    return Row("a stage that never ends", 1, "the stage", "stopped at its limit with a sentence, not tried again")
