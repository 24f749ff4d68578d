"""The application: every part once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dagster as dg
from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from reconstruction_pipeline import __version__
from reconstruction_pipeline.settings import Settings
from reconstruction_pipeline.web import earlier, events, files, page, tus, videos
from reconstruction_pipeline.web.access import COOKIE, Guard, GuardMiddleware
from reconstruction_pipeline.web.admitting import Desk
from reconstruction_pipeline.web.board import Board
from reconstruction_pipeline.web.context import Context, context_of
from reconstruction_pipeline.web.errors import Refused, add_handlers, responses
from reconstruction_pipeline.web.incoming import Incoming
from reconstruction_pipeline.web.launching import Launcher
from reconstruction_pipeline.web.models import Health
from reconstruction_pipeline.web.tus import Receiver

SWEEP_SECONDS = 3600.0
DESCRIPTION = """
A video (or photos) goes in; a 3D Gaussian splat, a mesh, and a page that shows them come out.

- **Send in** with `POST /api/videos`: a form, or resumably with the tus protocol. The answer has the scene's `key`.
- **Watch** `GET /api/videos/{key}`, or the WebSocket `/api/videos/{key}/events`: messages `init`, `progress` (`stage`,
  `progress` from 0 to 1, `detail`), and `complete` or `error`.
- **Take away** the files that the video lists.

Where tokens are set, send one as `Authorization: Bearer …`. The role `read` may see, `upload` may also send in and
cancel, `admin` may also delete. An error is `{"detail": "one sentence that says what is wrong and what to do"}`.
"""


class Session(BaseModel):
    """What the token that came with the request may do."""

    role: str | None = Field(description="read, upload or admin; null without a known token.")
    needs_token: bool


class Token(BaseModel):
    """A token, for the page to keep in a cookie that scripts cannot read."""

    token: str = Field(min_length=1, max_length=200)


def make_app(
    settings: Settings,
    instance: dg.DagsterInstance,
    launcher: Launcher,
    *,
    host: str = "127.0.0.1",
    ui_url: str = "",
) -> FastAPI:
    """The application over one Dagster instance; `host` is what it will listen on, `ui_url` where Dagster's page is."""
    incoming = Incoming(settings)
    board = Board(instance, settings.storage, ui_url or settings.operation.ui_url)
    guard = Guard(settings.web, host)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.context = Context(
            settings=settings,
            guard=guard,
            incoming=incoming,
            receiver=Receiver(incoming),
            desk=Desk(instance, settings, incoming, board, launcher),
            board=board,
            launcher=launcher,
        )
        await run_in_threadpool(board.refresh)
        board.start()
        sweeper = asyncio.create_task(_sweep(incoming))
        yield
        sweeper.cancel()
        board.stop()

    app = FastAPI(
        title="Reconstructions",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # they fetch scripts from elsewhere; `/docs` is ours
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    add_handlers(app)
    app.add_middleware(GuardMiddleware, guard=guard)
    if settings.web.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.web.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Location", "Content-Location", "Upload-Offset", "Upload-Length", "Tus-Resumable", "ETag"],
        )
    for router in (videos.router, files.router, events.router, tus.router, earlier.router, page.router):
        app.include_router(router)
    _add_own_routes(app)
    _describe_tokens(app)
    return app


async def _sweep(incoming: Incoming) -> None:
    while True:
        await run_in_threadpool(incoming.give_up_old)
        await asyncio.sleep(SWEEP_SECONDS)


def _add_own_routes(app: FastAPI) -> None:
    @app.get("/health", tags=["Server"], response_model=Health, responses={503: {"model": Health}}, summary="Health")
    async def health(request: Request) -> Response:
        """`healthy` when Dagster answers too; else 503 and `starting`."""
        ready = await run_in_threadpool(context_of(request).is_healthy)
        return JSONResponse({"status": "healthy" if ready else "starting"}, 200 if ready else 503)

    @app.get("/api/session", tags=["Server"], summary="What I may do")
    async def session(request: Request) -> Session:
        """The role of the token that came with this request."""
        context = context_of(request)
        return Session(role=request.state.role, needs_token=bool(context.settings.web.tokens))

    @app.post("/api/session", tags=["Server"], responses=responses(), summary="Keep a token in a cookie")
    async def open_session(request: Request, token: Token, response: Response) -> Session:
        """For pages: the cookie goes with every request, the addresses of pictures and downloads among them."""
        context = context_of(request)
        guard = context.guard
        if not guard.web.tokens:
            return Session(role="admin", needs_token=False)
        role = guard.web.tokens.get(token.token)
        if role is None:
            if wait := guard.wrong.wait(request.state.client):
                raise Refused(429, "Too many wrong tokens from this address; wait a little.", Retry_After=f"{wait:.0f}")
            raise Refused(401, "This token is not known.", WWW_Authenticate="Bearer")
        # Lax: links from the sandboxed report count as another site's.
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, token.token, max_age=30 * 86400, httponly=True, samesite="lax", secure=secure)
        return Session(role=role, needs_token=True)

    @app.delete("/api/session", tags=["Server"], status_code=204, summary="Forget the token")
    async def close_session(response: Response) -> None:
        """Clears the cookie."""
        response.delete_cookie(COOKIE)


def _describe_tokens(app: FastAPI) -> None:
    """Names the bearer token in the OpenAPI document; it is optional, as a server without tokens needs none."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        document.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{}, {"token": []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
