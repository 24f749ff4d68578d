"""Things of a machine that one process at a time may use, each a locked file.

The kernel gives a lock back when its process ends, however it ends, so that a killed step blocks nobody. The files
must be on a disk of this machine that all its containers share; `flock` holds among them.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

POLL_SECONDS = 0.5
SAY_SECONDS = 15.0


@contextmanager
def lease_one(folder: Path, names: Sequence[str], say: Callable[[str], None]) -> Iterator[str]:
    """Hold the first free one of `names` (file names) inside the block; yields it.

    While all are taken it waits, and tells `say` who holds them. The lock is not inherited by child processes.
    """
    if not names:
        raise ValueError("nothing to lease")
    folder.mkdir(parents=True, exist_ok=True)
    said = float("-inf")
    while True:
        for name in names:
            if (file := _locked(folder / name)) is not None:
                try:
                    yield name
                finally:
                    os.close(file)
                return
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            say(f"for one of {', '.join(names)}: held by {_holders(folder, names)}")
        time.sleep(POLL_SECONDS)


def _locked(path: Path) -> int | None:
    """The locked file's descriptor, with our process id in it; None if somebody else has it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    os.truncate(file, 0)
    os.pwrite(file, f"{os.uname().nodename}:{os.getpid()}".encode(), 0)
    return file


def _holders(folder: Path, names: Sequence[str]) -> str:
    return ", ".join((folder / name).read_text() or "another process" for name in names)
