"""Whether anybody still waits for what a step makes.

A killed run leaves its steps behind: nobody would hear of their end, and another run may be at work in their place.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable

import dagster as dg

from reconstruction_pipeline.artifacts.progress import Progress

LOOK_SECONDS = 15.0


class StillWanted:
    """Progress that is passed on, and a `check` that raises a final `dg.Failure` once a step of a run should stop.

    A child of `multiprocessing`, as a step of the process executor is, should when its parent is gone. Any step
    should when its run has ended: it was marked as canceled, or its container was lost. That is looked up every
    `LOOK_SECONDS`; while the database does not answer, the step goes on.
    """

    def __init__(
        self,
        progress: Progress,
        instance: dg.DagsterInstance,
        run_id: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.report = progress.report
        self._instance, self._run_id, self._clock = instance, run_id, clock
        self._looked = clock()

    def check(self) -> None:
        """Cheap enough to be called all the time."""
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            raise _stopped("the process of the run is gone; its stage was stopped.")
        if self._clock() - self._looked >= LOOK_SECONDS:
            self._looked = self._clock()
            if self._run_has_ended():
                raise _stopped("the run has ended without this stage, which was stopped.")

    def _run_has_ended(self) -> bool:
        try:
            run = self._instance.get_run_by_id(self._run_id)
        except Exception:  # each database has its own
            return False
        return run is None or run.is_finished


def _stopped(sentence: str) -> dg.Failure:
    """Not tried again: the retry policy would announce an attempt that nobody is there to make."""
    return dg.Failure(description=sentence, allow_retries=False)
