"""Delivered files, whole or in ranges: only what lies in a scene's own folder, wherever the storage is."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path, PurePosixPath
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from upath import UPath

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.artifacts.keys import require_safe_key
from reconstruction_pipeline.web.context import Context, require
from reconstruction_pipeline.web.errors import Refused, responses

PIECE = 1 << 20
TYPES = {
    ".ply": "application/octet-stream",
    ".sog": "application/octet-stream",
    ".spz": "application/octet-stream",
    ".splat": "application/octet-stream",
    ".glb": "model/gltf-binary",
    ".obj": "text/plain",
    ".mtl": "text/plain",
}
PAGES = {
    # Its own policy (in the page) lets it reach no address at all.
    "viewer.html": "frame-ancestors 'none'",
    # Shows names that came with the capture: in an origin of its own, it could not act for who reads it.
    "report.html": "sandbox allow-scripts allow-downloads allow-popups allow-top-navigation-by-user-activation",
}
RANGE = re.compile(r"bytes=(\d*)-(\d*)")

router = APIRouter(tags=["Videos"])


@router.get(
    "/api/videos/{key}/files/{name:path}",
    responses={
        200: {"content": {"application/octet-stream": {}}, "description": "The file."},
        206: {"content": {"application/octet-stream": {}}, "description": "The range that was asked for."},
        **responses(404, 416),
    },
    response_class=Response,
    summary="A delivered file",
)
@router.head("/api/videos/{key}/files/{name:path}", include_in_schema=False)
async def file(request: Request, key: str, name: str) -> Response:
    """`scene.ply`, `viewer.html`, `colmap/images/…`: see `files` of the video. Ranges are served (`Range: bytes=…`)."""
    return await send(request, require(request, "read"), key, name)


async def send(request: Request, context: Context, key: str, name: str, download_as: str | None = None) -> Response:
    """The answer with a file of a scene; raises `Refused` (404) for what is none."""
    try:
        folder = UPath(context.settings.storage) / "deliverables" / require_safe_key(key)
    except UsageError:
        raise Refused(404, "There is no such video.") from None
    parts = PurePosixPath(name).parts
    if not parts or any(part.startswith(".") or "\\" in part or "\0" in part for part in parts) or name.startswith("/"):
        raise Refused(404, f"{key} has no such file.")
    kind = TYPES.get(PurePosixPath(name).suffix.lower()) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = {"Cache-Control": "private, no-cache"}
    if kind in ("text/html", "image/svg+xml", "application/xhtml+xml"):
        headers["Content-Security-Policy"] = PAGES.get(name, "sandbox")
    if download_as:
        headers["Content-Disposition"] = f'attachment; filename="{download_as}"'
    if context.settings.storage_is_local:
        path = Path(folder.path).joinpath(*parts)
        if not await run_in_threadpool(_is_inside, path, Path(folder.path)):
            raise Refused(404, f"{key} has no such file.")
        return FileResponse(path, headers=headers, media_type=kind, stat_result=path.stat())
    return await run_in_threadpool(_remote, request, folder.joinpath(*parts), kind, headers)


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether the path is a file that really lies in the folder, links followed."""
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())


def _remote(request: Request, path: UPath, kind: str, headers: dict[str, str]) -> Response:
    """A file of an object store, streamed; one range at most."""
    try:
        info: dict[str, Any] = path.fs.info(path.path)
    except FileNotFoundError:
        info = {}
    if info.get("type") != "file":
        raise Refused(404, "There is no such file.")
    size = int(info["size"])
    headers = {**headers, "Accept-Ranges": "bytes", "ETag": f'"{info.get("ETag", size)}"'.replace('""', '"')}
    if modified := info.get("LastModified"):
        headers["Last-Modified"] = formatdate(modified.timestamp(), usegmt=True)
    asked = RANGE.fullmatch(request.headers.get("range", ""))
    start, stop = _range(asked, size) if asked else (0, size)
    headers["Content-Length"] = str(stop - start)
    if asked:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    pieces = iter(()) if request.method == "HEAD" else _pieces(path, start, stop)
    return StreamingResponse(pieces, 206 if asked else 200, headers, kind)


def _range(asked: re.Match[str], size: int) -> tuple[int, int]:
    """First byte and the one after the last; raises `Refused` (416) where there is none."""
    first, last = asked.groups()
    start = int(first) if first else max(0, size - int(last or 0))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= stop:
        raise Refused(416, f"The file has {size} bytes.", Content_Range=f"bytes */{size}")
    return start, stop


def _pieces(path: UPath, start: int, stop: int) -> Iterator[bytes]:
    with path.fs.open(path.path, "rb") as file:
        file.seek(start)
        while start < stop and (piece := file.read(min(PIECE, stop - start))):
            yield piece
            start += len(piece)
