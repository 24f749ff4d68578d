"""Keeps what stages and libraries print off the terminal; Dagster keeps it in the run's log."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silence(active: bool = True) -> Iterator[None]:
    """Standard output and error of this process and its children go nowhere meanwhile.

    By descriptor, as native code and child processes print too. A `TerminalProgress` opened before goes on.
    """
    if not active:
        yield
        return
    _flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in kept:
            os.dup2(nowhere, number)
        yield
    finally:
        _flush()
        for number, descriptor in kept.items():
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(nowhere)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
