"""Faults of the servers beside Dagster: PostgreSQL restarted, an object store that fails or stalls."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

from reconstruction_pipeline_tests.orchestration.faults.processes import count_of, wait_for_another
from reconstruction_pipeline_tests.orchestration.faults.table import Row
from reconstruction_pipeline_tests.orchestration.site.deployment import Site

OUTAGE_SECONDS = 15.0


def restart_postgres(site: Site, seed: int, times: int = 5) -> Row:
    """The database is stopped (politely, or at once as by a crash) at a random moment of a run, and started again."""
    rng, status = random.Random(seed), []
    assert site.postgres
    site.register("database")
    for number in range(times):
        run_id = site.launch("database")
        time.sleep(rng.uniform(0.0, 20.0))
        site.postgres.stop([signal.SIGINT, signal.SIGQUIT][number % 2])
        time.sleep(rng.uniform(0.0, 2.0))
        site.postgres.start()
        status.append(site.ends(run_id))
        if status[-1] != "SUCCESS":
            assert site.ends(site.launch("database")) == "SUCCESS"
        site.check_sound("database")
    good = status.count("SUCCESS")
    outcome = f"{good} of {times} runs did not notice"
    if good < times:
        outcome += f"; {times - good} failed and succeeded when run again"
    return Row("PostgreSQL restarted during a run", times, "none where it did not notice, else the step", outcome)


def _while_storing(site: Site, key: str, rng: random.Random, harm: Callable[[], None], heal: Callable[[], None]) -> str:
    """Run a line; do harm when a random stage has ended and is about to be stored, and heal after a while."""
    function = rng.choice(["select_keyframes", "estimate_poses", "estimate_depth", "gaussian_splats", "extract_mesh"])
    hold, before = site.steer("hold", function), count_of(site, function)
    run_id = site.launch(key)
    wait_for_another(site, function, before)
    harm()
    hold.unlink()
    time.sleep(OUTAGE_SECONDS)
    heal()
    status = site.ends(run_id)
    assert count_of(site, function) == before + 1, f"{function} was run again for a storage that was away"
    return status


def failing_bucket(site: Site, seed: int, times: int = 4) -> Row:
    """Every connection to the object store is hung up on, from before a stage's artifact is stored."""
    gate, rng, status = site.gate, random.Random(seed), []
    assert gate
    site.register("outage")
    for _ in range(times):
        status.append(_while_storing(site, "outage", rng, gate.close, gate.open))
    assert set(status) == {"SUCCESS"}, status
    site.check_sound("outage")
    outcome = f"{gate.refused} connections refused; the stage's work was kept and stored {OUTAGE_SECONDS:.0f} s later"
    return Row("object store fails while storing", times, "none", outcome)


def stalled_bucket(site: Site, seed: int, times: int = 3) -> Row:
    """The object store accepts connections and does not answer."""
    bucket, rng, status = site.bucket, random.Random(seed), []
    assert bucket
    site.register("stall")
    for _ in range(times):
        stop, go = (lambda: bucket.send(signal.SIGSTOP)), (lambda: bucket.send(signal.SIGCONT))
        status.append(_while_storing(site, "stall", rng, stop, go))
    assert set(status) == {"SUCCESS"}, status
    site.check_sound("stall")
    return Row("object store stalls while storing", times, "none", f"waited {OUTAGE_SECONDS:.0f} s, then went on")
