"""Faults of containers: killed from outside, for their memory, with their run, and terminated from the UI."""

from __future__ import annotations

from functools import partial

from reconstruction_pipeline.orchestration.hardware.containers import LABEL
from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline_tests.orchestration.faults.processes import count_of, wait_for_another
from reconstruction_pipeline_tests.orchestration.faults.table import Row
from reconstruction_pipeline_tests.orchestration.site.contained import Contained
from reconstruction_pipeline_tests.orchestration.site.servers import wait_until

KEY = "walk"


def route(place: Contained, seed: int) -> Row:
    """No fault: a whole line, its training with the card and every other stage without."""
    site = place.site
    site.register(KEY)
    run_id = site.launch(KEY)
    site.succeeds(run_id, 600)
    steps = place.steps(run_id)
    assert {step: len(made) for step, made in steps.items()} == dict.fromkeys(STAGES, 1)
    for step, (container,) in steps.items():
        gpu = step == "gaussian_splats"
        assert container.labels[f"{LABEL}.profile"] == ("gpu" if gpu else "cpu"), step
        assert bool(container.attrs["HostConfig"]["Devices"]) == gpu, step
    site.check_sound(KEY)
    return Row("(none) a line in containers", 1, "none", "training in profile gpu with its device, the rest in cpu")


def _start(place: Contained, stage: str, function: str) -> tuple[str, int]:
    """A run of one stage that holds in it; its id, and how often the stage had begun before."""
    site, began = place.site, count_of(place.site, function)
    site.steer("hold", function)
    run_id = site.launch(KEY, [stage])
    wait_for_another(site, function, began)
    return run_id, began


def _release(place: Contained, function: str) -> None:
    (place.site.steering / "hold" / function).unlink()


def kill_step_container(place: Contained, seed: int, times: int = 2) -> Row:
    """A step's container is killed; its health check finds it, and the retry policy makes another."""
    site = place.site
    for _ in range(times):
        run_id, began = _start(place, "mesh", "extract_mesh")
        place.steps(run_id)["mesh"][-1].kill()
        _release(place, "extract_mesh")
        site.succeeds(run_id)
        assert len(place.steps(run_id)["mesh"]) == 2 and count_of(site, "extract_mesh") == began + 2
        assert "Return code is 137" in site.told(run_id)
    site.check_sound(KEY)
    return Row("kill -9 of a step's container", times, "the stage", "found by the health check, tried again, finished")


def out_of_memory(place: Contained, seed: int) -> Row:
    """A stage takes more than its container may have; the kernel ends it."""
    site = place.site
    site.steer("gorge", "extract_mesh")
    run_id = site.launch(KEY, ["mesh"])
    site.succeeds(run_id)
    assert not (site.steering / "gorge" / "extract_mesh").exists()
    assert "ended without a result (exit status -9)" in site.told(run_id) or "memory" in site.told(run_id)
    site.check_sound(KEY)
    return Row("a container out of memory (limit 1 GB)", 1, "the stage", "tried again by its retry policy, finished")


def kill_run_container(place: Contained, seed: int, times: int = 2) -> Row:
    """The container of the run itself is killed; run monitoring makes another, which goes on with the step."""
    site = place.site
    for _ in range(times):
        run_id, began = _start(place, "mesh", "extract_mesh")
        container = place.run(run_id)
        assert container is not None
        container.kill()
        wait_until(partial(place.run, run_id), 300, site.daemon.tail)
        _release(place, "extract_mesh")
        site.succeeds(run_id)
        assert count_of(site, "extract_mesh") == began + 1, "the step was begun anew"
    site.check_sound(KEY)
    return Row("kill -9 of the run's container", times, "none", "resumed by run monitoring; its step went on meanwhile")


def terminate(place: Contained, seed: int) -> Row:
    """Terminated from the UI."""
    site = place.site
    run_id, _ = _start(place, "gaussian_splats", "gaussian_splats")
    assert site.terminate(run_id) == "TerminateRunSuccess"
    assert site.ends(run_id) == "CANCELED"
    _release(place, "gaussian_splats")
    (container,) = place.steps(run_id)["gaussian_splats"]
    wait_until(lambda: container.reload() or container.status == "exited", 120, lambda: container.status)
    site.check_sound(KEY)
    site.succeeds(site.launch(KEY, ["gaussian_splats"]))
    return Row("a run in containers terminated from the UI", 1, "the stage", "canceled, container stopped, places free")
