"""Waiting for a storage that is away for a moment: a finished stage is worth a minute's wait."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PAUSES = (1.0, 4.0, 15.0, 40.0)
"""Seconds between attempts."""
PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN}
"""What a disk says that may soon say something else: full, or a network drive that is away."""


def patiently(action: Callable[[], T], far: bool = False) -> T:
    """What `action()` returns, tried again after each of `PAUSES`; its last error when it fails to the end.

    Of a `far` storage (an object store) every error is tried again, as each filesystem has its own; of a disk only
    those that may pass. The action must be one that can be done twice.
    """
    for pause in PAUSES:
        try:
            return action()
        except Exception as error:
            if not far and getattr(error, "errno", None) not in PASSING:
                raise
            time.sleep(pause)
    return action()
