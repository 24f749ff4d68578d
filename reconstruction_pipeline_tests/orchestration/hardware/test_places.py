"""Cards and cores: no two steps of a machine share one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.orchestration.hardware.leases import lease_one
from reconstruction_pipeline.orchestration.hardware.places import cards_of, places, share_of_cores
from reconstruction_pipeline.orchestration.names import GPU_POOL
from reconstruction_pipeline.orchestration.stage_process import StageCall, run_stage_process
from reconstruction_pipeline.settings import Operation, load_settings
from reconstruction_pipeline_tests.orchestration.canned import Line

HOLDER = """
import sys
from pathlib import Path
from reconstruction_pipeline.orchestration.hardware.leases import lease_one
with lease_one(Path(sys.argv[1]), ["gpu-0", "gpu-1"], print) as name:
    print(name, flush=True)
    sys.stdin.read()
"""


def test_two_processes_get_two_cards_and_a_killed_one_gives_its_back(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        first = other.stdout.readline().strip()
        with lease_one(tmp_path, ["gpu-0", "gpu-1"], print) as second:
            assert {first, second} == {"gpu-0", "gpu-1"}
            said: list[str] = []

            def say(note: str) -> None:
                said.append(note)
                other.kill()

            began = time.monotonic()
            with lease_one(tmp_path, ["gpu-0", "gpu-1"], say) as third:
                assert third == first
            assert time.monotonic() - began < 10
            assert str(other.pid) in said[0] and str(os.getpid()) in said[0]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ("0", "1", "10")),
        ({"CUDA_VISIBLE_DEVICES": "1"}, ("1",)),
        ({"CUDA_VISIBLE_DEVICES": ""}, ()),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, ()),
        ({"CUDA_VISIBLE_DEVICES": "0", "RECONSTRUCTION_GPUS": "GPU-5a, GPU-6b"}, ("GPU-5a", "GPU-6b")),
    ],
)
def test_the_cards_are_those_of_the_settings_or_all(
    tmp_path: Path, environment: dict[str, str], expected: tuple[str, ...]
) -> None:
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert cards_of(load_settings(environment).operation, tmp_path) == expected


def test_shares_of_the_cores_are_disjoint_and_complete() -> None:
    mine = sorted(os.sched_getaffinity(0))
    shares = [share_of_cores(number, 2) for number in range(2)]
    if len(mine) > 1:
        assert not set(shares[0]) & set(shares[1])
        assert sorted([*shares[0], *shares[1]]) == mine
    assert all(share_of_cores(number, 50) for number in range(50))


def test_a_stage_sees_its_card_and_only_its_cores() -> None:
    core = min(os.sched_getaffinity(0))
    call = StageCall(
        "reconstruction_pipeline_tests.orchestration.stage_functions:surroundings",
        (),
        environment={"CUDA_VISIBLE_DEVICES": "7"},
        cores=(core,),
    )
    assert run_stage_process(call, NullProgress()).value == ("7", [core], 1)


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONSTRUCTION_GPUS", "0,1")


@pytest.mark.usefixtures("two_cards")
def test_training_gets_a_card_and_the_others_none(line: Line) -> None:
    assert line.run().success
    given = {call.entry.split(":")[1]: call.environment for call in line.stages.full_calls}
    assert given.pop("gaussian_splats") == {"CUDA_VISIBLE_DEVICES": "0"}
    assert set(map(str, given.values())) == {"{}"}


@pytest.mark.usefixtures("two_cards")
def test_a_taken_card_is_not_given_again(line: Line) -> None:
    folder = load_settings().scratch / "leases"
    line.run("source_video", "keyframes", "camera_poses", "depth_maps")
    with lease_one(folder, ["gpu-0"], print):
        assert line.run("gaussian_splats").success
    assert line.stages.full_calls[-1].environment == {"CUDA_VISIBLE_DEVICES": "1"}


@pytest.mark.usefixtures("two_cards")
def test_a_run_on_the_cpu_leaves_the_cards_alone(line: Line) -> None:
    assert line.run(device="cpu").success
    assert not any(call.environment for call in line.stages.full_calls)


def test_steps_of_a_wider_pool_share_the_cores(line: Line) -> None:
    assert line.run("source_video", "keyframes", "camera_poses").success
    assert all(call.cores == () for call in line.stages.full_calls)
    line.instance.event_log_storage.set_concurrency_slots(GPU_POOL, 2)
    assert line.run("camera_poses").success
    assert line.stages.full_calls[-1].cores == share_of_cores(0, 2)


def test_a_pool_nobody_sized_has_one_place() -> None:
    with dg.DagsterInstance.ephemeral() as instance, dg.build_asset_context(instance=instance) as context:
        assert places(context) == 1
    assert Operation().gpus is None
