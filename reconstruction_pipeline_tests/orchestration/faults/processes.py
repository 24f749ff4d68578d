"""Faults of Dagster's own processes, and of runs that should not be: on a deployment with stand-in stages."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from dataclasses import replace

import dagster as dg

from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline.orchestration.operations.lost_runs import SENTENCE
from reconstruction_pipeline.orchestration.runs import PARTITION_TAG
from reconstruction_pipeline_tests.orchestration.faults.table import Row
from reconstruction_pipeline_tests.orchestration.faults.training import process_of
from reconstruction_pipeline_tests.orchestration.site.deployment import Site, check_whole
from reconstruction_pipeline_tests.orchestration.site.servers import wait_until
from reconstruction_pipeline_tests.stages.captures import sliding_frames, write_video


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


def wait_for_scenes(site: Site, keys: list[str], seconds: float = 300) -> None:
    """Until every video has a successful run and nothing else runs."""

    def done() -> bool:
        runs = runs_of(site, *keys)
        good = {run.tags[PARTITION_TAG] for run in runs if run.is_success}
        return good == set(keys) and all(run.is_finished for run in runs)

    wait_until(done, seconds, lambda: f"{runs_of(site, *keys)}\n{site.daemon.tail()}\n{site.code.tail()}", 1.0)


def kill_daemon(site: Site, seed: int, times: int = 5) -> Row:
    """The daemon dies at a random moment after an upload and is started again, as its container would be."""
    rng, keys = random.Random(seed), []
    site.start_sensor("video_uploads")
    for number in range(times):
        keys.append(upload(site, f"daemon-{number}"))
        time.sleep(rng.uniform(0.0, 25.0))
        site.daemon.kill()
        time.sleep(rng.uniform(0.0, 3.0))
        site.daemon.start()
    wait_for_scenes(site, keys)
    count = Counter(run.tags[PARTITION_TAG] for run in runs_of(site, *keys))
    assert set(count.values()) == {1}, count
    for key in keys:
        site.check_sound(key)
    return Row("kill -9 of the daemon", times, "none", f"{times} uploads, {times} runs, all finished")


def two_daemons(site: Site, seed: int, uploads: int = 4) -> Row:
    """A second daemon by mistake, while uploads arrive."""
    site.start_sensor("video_uploads")
    second = replace(site.daemon, name="second daemon", log=site.root / "second_daemon.log")
    second.start()
    try:
        keys = [upload(site, f"twice-{number}") for number in range(uploads)]
        wait_for_scenes(site, keys)
        time.sleep(15)  # for a tick more of each
        wait_for_scenes(site, keys)
    finally:
        second.stop()
    count = Counter(run.tags[PARTITION_TAG] for run in runs_of(site, *keys))
    for key in keys:
        site.check_sound(key)
    outcome = f"{uploads} uploads became {sum(count.values())} runs, all finished and whole"
    return Row("two daemons by mistake", 1, "none", outcome)


def kill_code_server(site: Site, seed: int, times: int = 5) -> Row:
    """The code server, whose children the runs are, dies while a run is in a random stage."""
    rng = random.Random(seed)
    site.register("code")
    functions = ["select_keyframes", "estimate_poses", "estimate_depth", "gaussian_splats", "extract_mesh"]
    for function in rng.sample(functions, times):
        hold = site.steer("hold", function)
        began = count_of(site, function)
        run_id = site.launch("code")
        wait_for_another(site, function, began)
        site.code.kill()
        time.sleep(rng.uniform(0.0, 2.0))
        site.code.start()
        hold.unlink()
        assert site.ends(run_id) == "SUCCESS"
    site.check_sound("code")
    return Row("kill -9 of the code server", times, "none", "the run goes on and finishes; new runs after its restart")


def wait_for_another(site: Site, function: str, before: int, seconds: float = 180) -> None:
    """Until a stand-in has begun once more than `before` times."""
    wait_until(lambda: count_of(site, function) > before, seconds, lambda: f"{site.daemon.tail()}{site.code.tail()}")


def count_of(site: Site, function: str) -> int:
    """How often a stand-in began."""
    path = site.steering / "stages.jsonl"
    mark = f'"what": "began", "function": "{function}"'
    return path.read_text().count(mark) if path.exists() else 0


def kill_workers(site: Site, seed: int, times: int = 6) -> Row:
    """The run's worker dies in a random stage; what was stored serves the next run, which does the rest."""
    rng = random.Random(seed)
    stages = {"estimate_poses": 2, "estimate_depth": 3, "gaussian_splats": 4, "extract_mesh": 5}
    site.register("worker")
    assert site.ends(site.launch("worker", STAGES[:2])) == "SUCCESS"
    for _ in range(times):
        function = rng.choice(sorted(stages))
        done, rest = STAGES[2 : stages[function]], STAGES[stages[function] :]
        hold, began = site.steer("hold", function), count_of(site, function)
        before = {stage: site.store().current_version(stage, "worker") for stage in done}
        run_id = site.launch("worker", STAGES[2:])
        wait_for_another(site, function, began)
        time.sleep(rng.uniform(0.0, 1.0))
        os.kill(process_of(site, "run worker"), signal.SIGKILL)
        wait_until(lambda: not site.running("stage_worker"), 20, lambda: "the stage outlives its run")
        hold.unlink()
        assert site.ends(run_id) == "FAILURE"
        assert SENTENCE in message_of(site, run_id)
        assert site.places_taken() == 0
        assert all(check_whole(site.store(), stage, "worker") != before[stage] for stage in done), "a stage was lost"
        assert site.ends(site.launch("worker", rest)) == "SUCCESS"
    site.check_sound("worker")
    outcome = "the run fails with a sentence at the next tick, its steps end, its places are free; the rest runs alone"
    return Row("kill -9 of the run worker", times, "the stage at work", outcome)


def message_of(site: Site, run_id: str) -> str:
    """Why a run failed, as the UI shows it."""
    with site.instance() as instance:
        entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        return " ".join((entry.dagster_event and entry.dagster_event.message) or "" for entry in entries)


def short_of_memory(site: Site, seed: int, times: int = 4) -> Row:
    """The kernel kills a stage, as it does when memory is short; the step is tried again."""
    rng = random.Random(seed)
    site.register("memory")
    for function in rng.sample(["estimate_poses", "estimate_depth", "gaussian_splats", "compress_splats"], times):
        mark = site.steer("die", function)
        before = count_of(site, function)
        assert site.ends(site.launch("memory")) == "SUCCESS"
        assert not mark.exists() and count_of(site, function) == before + 2
    site.check_sound("memory")
    return Row("a stage killed for its memory", times, "the stage", "tried again by its retry policy, finished")


def same_video_twice(site: Site, seed: int, times: int = 2) -> Row:
    """Two runs of one video at the same time."""
    site.register("twin")
    for _ in range(times):
        runs = [site.launch("twin") for _ in range(2)]
        assert [site.ends(run_id) for run_id in runs] == ["SUCCESS", "SUCCESS"]
    site.check_sound("twin")
    return Row("two runs of one video at once", times, "none", "both finish; readers see whole versions only")


def out_of_time(site: Site, seed: int) -> Row:
    """A stage that takes for ever."""
    site.register("slow")
    hold, before = site.steer("hold", "extract_mesh"), count_of(site, "extract_mesh")
    run_id = site.launch("slow", time_limit_factor=0.001)  # of two hours
    assert site.ends(run_id) == "FAILURE"
    hold.unlink()
    assert count_of(site, "extract_mesh") == before + 1, "tried again, though it would run out of time again"
    failure = site.store().failure("mesh", "slow")
    assert failure and "its limit" in failure.sentence
    assert site.ends(site.launch("slow", ["mesh", "scene_report"])) == "SUCCESS"
    site.check_sound("slow")
    return Row("a stage that never ends", 1, "the stage", "stopped at its limit with a sentence, not tried again")


def growing_upload(site: Site, seed: int, pieces: int = 8) -> Row:
    """A file that grows for longer than two ticks is not begun before it is whole."""
    site.start_sensor("video_uploads")
    made = write_video(site.root / "growing.mp4", sliding_frames(40, seed=5)).read_bytes()
    target = site.uploads / "growing.mp4"
    for piece in range(1, pieces + 1):
        target.write_bytes(made[: len(made) * piece // pieces])
        assert not runs_of(site, "growing")
        time.sleep(4)
    wait_for_scenes(site, ["growing"])
    (run,) = runs_of(site, "growing")
    assert run.is_success
    site.check_sound("growing")
    return Row("a half-written upload", pieces, "none", "waits until it is whole, then one run")
