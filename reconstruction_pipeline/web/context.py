"""What the routes share: made once by `app.make_app`, found again in the application's state."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from reconstruction_pipeline.settings import Settings
from reconstruction_pipeline.web.access import Guard, allows, retry_after
from reconstruction_pipeline.web.errors import Refused
from reconstruction_pipeline.web.incoming import Incoming
from reconstruction_pipeline.web.models import Videos

if TYPE_CHECKING:
    from reconstruction_pipeline.web.admitting import Admitted, Desk
    from reconstruction_pipeline.web.board import Board
    from reconstruction_pipeline.web.launching import Launcher
    from reconstruction_pipeline.web.tus import Receiver

MOST_SOCKETS = 500
HEALTH_SECONDS = 2.0


@dataclass(frozen=True)
class Context:
    """The parts; see their modules."""

    settings: Settings
    guard: Guard
    incoming: Incoming
    receiver: Receiver
    desk: Desk
    board: Board
    launcher: Launcher
    sockets: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_SOCKETS))
    epoch: str = field(default_factory=lambda: secrets.token_hex(4))
    _listing: dict[int, bytes] = field(default_factory=dict)
    _health: dict[str, tuple[float, bool]] = field(default_factory=dict)

    def listing(self) -> bytes:
        """All videos as JSON, made once for every change."""
        revision = self.board.revision
        if revision not in self._listing:
            self._listing.clear()
            self._listing[revision] = Videos(videos=self.board.all()).model_dump_json().encode()
        return self._listing[revision]

    def is_healthy(self) -> bool:
        """Whether Dagster answers; asked of it every two seconds at most."""
        asked, healthy = self._health.get("last", (float("-inf"), False))
        if time.monotonic() - asked > HEALTH_SECONDS:
            healthy = self.launcher.is_ready()
            self._health["last"] = (time.monotonic(), healthy)
        return healthy

    async def admit(self, uploads: Sequence[str], preset: str, title: str) -> Admitted:
        """Make a scene of finished uploads, and let everybody see it at once."""
        admitted = await run_in_threadpool(self.desk.admit, uploads, preset, title)
        await run_in_threadpool(self.board.refresh)
        return admitted


def context_of(connection: HTTPConnection) -> Context:
    """The context of a request or WebSocket."""
    found: Context = connection.app.state.context
    return found


def require(connection: HTTPConnection, role: str, *, costly: bool = False) -> Context:
    """The context, if the token's role suffices, else raises `Refused`; `costly` requests have a limit of their own."""
    context, given = context_of(connection), connection.state.role
    if given is None:
        raise Refused(401, "A token is needed: send 'Authorization: Bearer …'.", WWW_Authenticate="Bearer")
    if not allows(given, role):
        raise Refused(403, f"This needs a token with the role '{role}'; yours has '{given}'.")
    if costly and (wait := context.guard.starts.wait(connection.state.client)):
        raise Refused(429, "Too many scenes at a time; wait a little.", Retry_After=retry_after(wait)["Retry-After"])
    return context
