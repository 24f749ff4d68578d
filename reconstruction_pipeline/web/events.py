"""What happens to one video, as it happens: a WebSocket of small JSON messages."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from reconstruction_pipeline.web.access import allows
from reconstruction_pipeline.web.context import context_of
from reconstruction_pipeline.web.models import State, Video

NO_TOKEN, NOT_FOUND, TOO_MANY = 4401, 4404, 1013
ENDED = (State.done, State.failed, State.canceled)

router = APIRouter()


@router.websocket("/api/videos/{key}/events")
async def events(socket: WebSocket, key: str) -> None:
    """`{"type": "init", "video": …}`, then `progress` (`stage`, `progress`, `detail`) whenever it changes, and at last
    `complete` or `error`; then the server closes.
    """
    await tell(socket, key)


async def tell(socket: WebSocket, key: str) -> None:
    """Accept and serve one listener."""
    context = context_of(socket)
    await socket.accept()
    if not allows(socket.state.role, "read"):
        await _end(socket, NO_TOKEN, "A token with the role 'read' is needed.")
        return
    if context.sockets.locked():
        await _end(socket, TOO_MANY, "Too many listeners; ask for the state instead.")
        return
    async with context.sockets:
        reader = asyncio.create_task(_listen(socket))
        try:
            await _follow(socket, key, reader)
        except (WebSocketDisconnect, RuntimeError):  # gone: RuntimeError is what sending then raises
            pass
        finally:
            reader.cancel()


async def _follow(socket: WebSocket, key: str, reader: asyncio.Task[None]) -> None:
    board = context_of(socket).board
    with board.changes() as changed:
        video, known = board.get(key), None
        if video is None:
            await _end(socket, NOT_FOUND, "There is no such video.")
            return
        await socket.send_json({"type": "init", "video": video.model_dump(mode="json")})
        while True:
            if video.state in ENDED:
                await socket.send_json(_last(video))
                await socket.close()
                return
            message = _progress(video)
            if message != known:
                known = message
                await socket.send_json(message)
            waiting = asyncio.create_task(changed.wait())
            await asyncio.wait({waiting, reader}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if reader.done():
                return
            changed.clear()
            video = board.get(key)
            if video is None:
                await _end(socket, 1000, "It was deleted.")
                return


async def _listen(socket: WebSocket) -> None:
    """Ends when the client goes; what it says is not for us."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _progress(video: Video) -> dict[str, Any]:
    return {
        "type": "progress",
        "stage": video.stage,
        "progress": video.progress,
        "detail": video.detail,
        "state": video.state.value,
        "stage_progress": video.stage_progress,
        "stage_label": video.stage_label,
    }


def _last(video: Video) -> dict[str, Any]:
    if video.state is State.done:
        return {"type": "complete", "video": video.model_dump(mode="json")}
    return {"type": "error", "detail": video.error or "", "state": video.state.value, "stage": video.stage}


async def _end(socket: WebSocket, code: int, sentence: str) -> None:
    await socket.send_json({"type": "error", "detail": sentence})
    await socket.close(code, sentence)
