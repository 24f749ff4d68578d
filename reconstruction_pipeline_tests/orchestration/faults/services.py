"""Faults of the servers beside Dagster: PostgreSQL restarted, an object store that fails or stalls."""

from __future__ import annotations

import random
import signal
import time
import urllib.error
from collections.abc import Callable

from reconstruction_pipeline_tests.orchestration.faults.processes import (
    FUNCTIONS,
    count_of,
    line_of,
    wait_for_another,
)
from reconstruction_pipeline_tests.orchestration.faults.table import Row
from reconstruction_pipeline_tests.orchestration.site.deployment import Site

OUTAGE_SECONDS = 15.0


def restart_postgres(site: Site, seed: int, times: int = 5) -> Row:
    """The database is stopped (politely, or at once as by a crash) at a random moment of a run, and started again."""
    rng, status, refused, key = random.Random(seed), [], 0, line_of(site)
    assert site.postgres
    for number in range(times):
        run_id, again = _launch(site, key)
        refused += again
        time.sleep(rng.uniform(0.0, 20.0))
        site.postgres.stop([signal.SIGINT, signal.SIGQUIT][number % 2])
        time.sleep(rng.uniform(0.0, 2.0))
        site.postgres.start()
        status.append(site.ends(run_id))
        if status[-1] != "SUCCESS":
            print(f"after the restart: {site.told(run_id)[:2000]}")
            run_id, again = _launch(site, key)
            refused += again
            site.succeeds(run_id)
        site.check_sound(key)
    good = status.count("SUCCESS")
    outcome = f"{good} of {times} runs went on and finished"
    if good < times:
        outcome += f"; {times - good} failed and succeeded when run again"
    if refused:
        outcome += f"; {refused} requests to the UI were refused after restarts, those asked again worked"
    return Row("PostgreSQL restarted during a run", times, "none where it went on, else the step at work", outcome)


def _launch(site: Site, key: str, attempts: int = 3) -> tuple[str, int]:
    """Start a run as a person would, who asks once more where the web server says that it has lost its database.

    Dagster's keeps connections open (for runs, events and schedules) and learns only by using one that it is dead.
    """
    for refused in range(attempts):
        try:
            return site.launch(key, ["mesh", "scene_report"]), refused
        except urllib.error.HTTPError as error:
            assert error.code == 500, error
    raise AssertionError(f"the web server refuses {attempts} times:\n{site.web.tail()}")


def _while_storing(site: Site, rng: random.Random, harm: Callable[[], None], heal: Callable[[], None]) -> None:
    """Run a random stage; do harm when it has ended and is about to be stored, and heal after a while."""
    stage, key = rng.choice(sorted(FUNCTIONS)), line_of(site)
    function = FUNCTIONS[stage]
    hold, before = site.steer("hold", function), count_of(site, function)
    run_id = site.launch(key, [stage])
    wait_for_another(site, function, before)
    harm()
    hold.unlink()
    time.sleep(OUTAGE_SECONDS)
    heal()
    site.succeeds(run_id)
    assert count_of(site, function) == before + 1, f"{function} was run again: {site.told(run_id)}"
    site.check_sound(key)


def failing_bucket(site: Site, seed: int, times: int = 4) -> Row:
    """Every connection to the object store is hung up on, from before a stage's artifact is stored."""
    gate, rng = site.gate, random.Random(seed)
    assert gate
    line_of(site)
    for _ in range(times):
        _while_storing(site, rng, gate.close, gate.open)
    assert gate.refused
    outcome = f"{gate.refused} connections refused; what the stage had made was kept and stored after the outage"
    return Row(f"object store fails for {OUTAGE_SECONDS:.0f} s while storing", times, "none", outcome)


def stalled_bucket(site: Site, seed: int, times: int = 3) -> Row:
    """The object store accepts connections and does not answer."""
    bucket, rng = site.bucket, random.Random(seed)
    assert bucket
    for _ in range(times):
        _while_storing(site, rng, lambda: bucket.send(signal.SIGSTOP), lambda: bucket.send(signal.SIGCONT))
    return Row(f"object store stalls for {OUTAGE_SECONDS:.0f} s while storing", times, "none", "waits, then goes on")
