"""Whoever opens a new instance makes its databases, and several may open it at once."""

from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import dagster as dg
import pytest

from reconstruction_pipeline.orchestration.instance import open_instance

PROCESSES = 6


def _open(all_of_them: Barrier) -> None:
    all_of_them.wait(60)
    with open_instance() as instance:
        assert instance.get_runs_count() == 0


def test_several_commands_may_be_the_first_ones_of_a_storage(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(storage / "another_home"))
    fork = multiprocessing.get_context("fork")  # Dagster is imported already
    together = fork.Barrier(PROCESSES)
    processes = [fork.Process(target=_open, args=(together,)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    with dg.DagsterInstance.get() as instance:
        assert instance.root_directory == str(storage / "another_home")
