"""Work on several items at once, results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

_MOST = 8  # a thread holds its own buffers, some 30 MB at 720p


def available() -> int:
    """Cores this process may use, up to `_MOST`."""
    return min(_MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def in_order(work: Callable[[int], Result], count: int) -> Iterator[Result]:
    """`work(0)`, `work(1)`, ... computed on the available cores, two items a thread ahead of the consumer.

    When the consumer stops early, what has not begun is dropped.
    """
    threads = available()
    pool = ThreadPoolExecutor(threads)
    pending: deque[Future[Result]] = deque()
    try:
        for index in range(count):
            pending.append(pool.submit(work, index))
            if len(pending) > 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
