"""Work on files that nobody vouches for, in a child process that may crash, hang or swell without harm.

Decoders are large programs in C that read what strangers wrote. A worker module calls `serve`; the parent starts it
as a `GuardedChild` and reads its messages. Neither side writes a file.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import selectors
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# With -m, Python finds first what lies in the working directory: the child runs the very code of the parent.
PACKAGE_ROOT = Path(__file__).resolve().parents[2]
HEADER = struct.Struct(">II")
CHUNK = 1 << 20
LINUX_SET_PIPE_SIZE = 1031  # fcntl's F_SETPIPE_SZ, which Python names on Linux only
ALIVE_S = 1.0
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChildLimits:
    """`memory_mb` of private memory; `stall_s` of wall time without any message."""

    memory_mb: int
    stall_s: float


class ChildFailed(Exception):
    """The child did not end as it should; the text completes the sentence "the decoder …"."""


class GuardedChild:
    """Runs `worker`, a module that calls `serve`, on one request. Use as a context manager: the child ends with it."""

    def __init__(self, worker: str, request: Mapping[str, Any], limits: ChildLimits) -> None:
        self._limits = limits
        self._process = subprocess.Popen(
            [sys.executable, "-m", worker],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=PACKAGE_ROOT,
        )
        assert self._process.stdin and self._process.stdout
        self._output = self._process.stdout.fileno()
        if sys.platform == "linux":
            import fcntl

            with contextlib.suppress(OSError):
                fcntl.fcntl(self._output, LINUX_SET_PIPE_SIZE, CHUNK)
        document = {"request": dict(request), "memory_mb": limits.memory_mb}
        with contextlib.suppress(BrokenPipeError):  # it died already; its messages will tell
            # Kept open: its end tells the child that we are gone.
            self._process.stdin.write(json.dumps(document).encode() + b"\n")
            self._process.stdin.flush()

    def __enter__(self) -> GuardedChild:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                assert pipe
                pipe.close()

    def messages(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Each (document, payload) the worker sends. Raises `ChildFailed` when it does not get to its end."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while True:
                head, payload_size = HEADER.unpack(self._read(selector, HEADER.size))
                document = json.loads(self._read(selector, head))
                payload = self._read(selector, payload_size) if payload_size else b""
                if "alive" in document:
                    continue
                if "end" in document:
                    if document["end"] == "memory":
                        raise ChildFailed(f"needs more than {self._limits.memory_mb} MB of memory")
                    if document["end"] == "error":
                        LOG.debug("%s", document["trace"])
                        raise ChildFailed(f"met an error that nobody foresaw ({document['error']})")
                    return
                yield document, payload

    def _read(self, selector: selectors.BaseSelector, size: int) -> bytes:
        parts, missing = [], size
        deadline = time.monotonic() + self._limits.stall_s
        while missing:
            if not selector.select(max(deadline - time.monotonic(), 0)):
                raise ChildFailed(f"shows no sign of life for {self._limits.stall_s:g} s")
            if not (part := os.read(self._output, min(missing, CHUNK))):
                raise ChildFailed(_how_it_died(self._process.wait()))
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


def _how_it_died(code: int) -> str:
    if code >= 0:
        return f"ended with status {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


class Replies:
    """The worker's side of the channel."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._last = time.monotonic()

    def send(self, document: Mapping[str, Any], payload: bytes | memoryview = b"") -> None:
        """One message; blocks while the parent is behind."""
        head = json.dumps(dict(document)).encode()
        for part in (HEADER.pack(len(head), len(payload)) + head, payload):
            view = memoryview(part)
            while view:
                view = view[os.write(self._descriptor, view) :]
        self._last = time.monotonic()

    def alive(self) -> None:
        """To be called often during long silent work."""
        if time.monotonic() - self._last > ALIVE_S:
            self.send({"alive": 1})


def serve(work: Callable[[dict[str, Any], Replies], None]) -> None:
    """The whole life of a worker: take the request, limit ourselves, `work`, say how it ended. Does not return."""
    replies = Replies(os.dup(1))
    os.dup2(2, 1)  # what libraries print must not get between the messages
    document = json.loads(sys.stdin.buffer.readline() or b"null")
    if document is None:
        os._exit(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_DATA, document["memory_mb"] << 20)
    try:
        work(document["request"], replies)
        end: dict[str, Any] = {"end": "done"}
    except MemoryError:
        end = {"end": "memory"}
    except BrokenPipeError:
        os._exit(1)
    except Exception as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
        end = {"end": "error", "error": said, "trace": traceback.format_exc()}
    replies.send(end)
    os._exit(0)  # native libraries' exit handlers have nothing to add


def _limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    with contextlib.suppress(ValueError, OSError):  # some systems know the limit and do not let it be set
        resource.setrlimit(which, (value, value))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)
