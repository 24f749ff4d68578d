"""Bytes from a connection into a file: bounded in rate of silence, in size, and by the disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from reconstruction_pipeline.web.errors import Refused

SILENCE_SECONDS = 60.0
WRITE_BYTES = 1 << 20
LOOK_AT_DISK_BYTES = 64 << 20


async def pieces(request: Request, silence: float | None = None) -> AsyncIterator[bytes]:
    """The body as it comes; ends when the client is gone, raises `Refused` (408) when it only waits.

    A client that promises much and sends little holds a connection, and no memory or disk, for that long.
    """
    stream = request.stream()
    while True:
        try:
            piece = await asyncio.wait_for(anext(stream), silence or SILENCE_SECONDS)
        except (StopAsyncIteration, ClientDisconnect):
            return
        except TimeoutError:
            raise Refused(408, "Nothing arrived for too long; go on from where the upload is.") from None
        if piece:
            yield piece


class Writer:
    """Appends to a file in larger pieces, outside the event loop; use as an async context manager."""

    def __init__(self, path: Path, require_room: Callable[[], None]) -> None:
        self._path, self._require_room = path, require_room
        self._file: IO[bytes] | None = None
        self._buffer = bytearray()
        self._since_look = 0

    async def __aenter__(self) -> Writer:
        self._file = await run_in_threadpool(self._path.open, "ab", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._file
        try:
            # Not awaited: a cancelled request has no more turns, and what arrived is to be kept.
            self._write_out()
        finally:
            self._file.close()

    async def add(self, piece: bytes) -> None:
        """Keep a piece; raises `Refused` (507) when the disk is too full for more."""
        self._buffer += piece
        if len(self._buffer) >= WRITE_BYTES:
            await run_in_threadpool(self._write_out)
            self._since_look += WRITE_BYTES
            if self._since_look >= LOOK_AT_DISK_BYTES:
                self._since_look = 0
                await run_in_threadpool(self._require_room)

    def _write_out(self) -> None:
        assert self._file
        view = memoryview(bytes(self._buffer))
        self._buffer.clear()
        while view:
            view = view[self._file.write(view) :]
