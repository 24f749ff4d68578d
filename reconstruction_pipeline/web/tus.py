"""Resumable uploads: the tus protocol, version 1.0.0, core with the extensions creation, creation-with-upload,
expiration and termination.

Specification: "tus resumable upload protocol 1.0.x", tus.io/protocols/resumable-upload. Our own implementation, as the
ones for FastAPI that were looked at count bytes in a file beside the data, so that a killed server appends in the wrong
place, or take bytes before they ask who sends them. Here the size of the file is the offset.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from email.utils import formatdate
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from starlette.concurrency import run_in_threadpool

from reconstruction_pipeline.presets import PRESETS
from reconstruction_pipeline.web.context import Context, context_of, require
from reconstruction_pipeline.web.errors import Refused, responses
from reconstruction_pipeline.web.incoming import GB, KEEP_SECONDS, Arrival, Incoming, safe_name
from reconstruction_pipeline.web.receiving import Writer, pieces

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,termination"
OCTETS = "application/offset+octet-stream"
# The protocol wants the first; the second is what simple clients and tools can send.
PATCHES = (OCTETS, "application/octet-stream")
BINARY = {"type": "string", "format": "binary"}
PATH = "/api/uploads"
MOST_METADATA = 4096

router = APIRouter(tags=["Resumable uploads (tus)"])
Resumable = Annotated[str | None, Header(description="Version of the tus protocol: 1.0.0.")]


@router.options(PATH, status_code=204, responses=responses(), summary="What the server can do")
async def options(request: Request) -> Response:
    """Version, extensions and largest size, as headers."""
    largest = int(context_of(request).settings.operation.max_upload_gb * GB)
    return _answer(204, Tus_Version=VERSION, Tus_Extension=EXTENSIONS, Tus_Max_Size=str(largest))


@router.post(PATH, status_code=201, responses=responses(400, 412, 413, 507), summary="Begin an upload")
async def create(
    request: Request,
    upload_length: Annotated[str | None, Header(description="Bytes that will come.")] = None,
    upload_metadata: Annotated[
        str | None,
        Header(
            description="Pairs `name base64`, by commas: `filename`, and if you like `preset`, `name` (of the scene),"
            " and `hold`: with it, the finished file waits for `POST /api/videos` to name it; without, its run begins."
        ),
    ] = None,
    tus_resumable: Resumable = None,
) -> Response:
    """Answers with its address in `Location`. A body of type `application/offset+octet-stream` is its start."""
    return await begin(request, upload_length, upload_metadata, tus_resumable)


async def begin(request: Request, length: str | None, metadata: str | None, version: str | None) -> Response:
    """`create`, also for `POST /api/videos` with `Tus-Resumable`."""
    context = require(request, "upload")
    _require_version(version)
    arrival = _arrival(length, metadata or "")
    arrival = await run_in_threadpool(context.incoming.create, arrival)
    headers = {"Location": f"{PATH}/{arrival.id}", "Upload-Expires": _expires()}
    if request.headers.get("content-type", "") != OCTETS:
        return _answer(201, Upload_Offset="0", **headers)
    offset = await context.receiver.receive(request, arrival, 0)
    return await _after(context, arrival, offset, 201, headers)


@router.head(f"{PATH}/{{id}}", responses=responses(404, 412), summary="How far an upload is")
async def head(request: Request, id: str, tus_resumable: Resumable = None) -> Response:
    """The next byte that is wanted is `Upload-Offset`."""
    incoming = require(request, "upload").incoming
    _require_version(tus_resumable)
    arrival = incoming.get(id)
    headers = {"Upload-Metadata": arrival.metadata} if arrival.metadata else {}
    return _answer(
        200,
        Upload_Offset=str(incoming.offset(id)),
        Upload_Length=str(arrival.length),
        Cache_Control="no-store",
        Upload_Expires=_expires(),
        **headers,
    )


@router.patch(
    f"{PATH}/{{id}}",
    status_code=204,
    responses=responses(400, 404, 408, 409, 412, 413, 415, 503, 507),
    summary="Add to an upload",
    openapi_extra={"requestBody": {"content": {kind: {"schema": BINARY} for kind in PATCHES}}},
)
async def patch(
    request: Request,
    id: str,
    upload_offset: Annotated[str | None, Header(description="Where these bytes belong.")] = None,
    tus_resumable: Resumable = None,
) -> Response:
    """Bytes from `Upload-Offset` on. The last ones begin the run, unless the upload was to `hold`: the scene's address
    is then in `Content-Location`, and a capture that cannot be used is answered with 422 and its sentence.
    """
    context = require(request, "upload")
    _require_version(tus_resumable)
    if request.headers.get("content-type", "") not in PATCHES:
        raise Refused(415, f"The bytes of an upload have the content type {OCTETS}.")
    arrival = context.incoming.get(id)
    offset = await context.receiver.receive(request, arrival, _number(upload_offset, "Upload-Offset"))
    return await _after(context, arrival, offset, 204, {"Upload-Expires": _expires()})


@router.delete(f"{PATH}/{{id}}", status_code=204, responses=responses(404, 412), summary="Give an upload up")
async def delete(request: Request, id: str, tus_resumable: Resumable = None) -> Response:
    """What has arrived is deleted."""
    context = require(request, "upload")
    _require_version(tus_resumable)
    context.incoming.get(id)
    await context.receiver.interrupt(id)
    await run_in_threadpool(context.incoming.drop, id)
    return _answer(204)


async def _after(context: Context, arrival: Arrival, offset: int, status: int, headers: dict[str, str]) -> Response:
    if offset == arrival.length and not arrival.hold:
        admitted = await context.admit([arrival.id], arrival.preset or "balanced", arrival.title)
        headers["Content-Location"] = f"/api/videos/{admitted.key}"
    return _answer(status, Upload_Offset=str(offset), **headers)


class Receiver:
    """Writes what arrives for uploads, one connection for each; a new one takes over from one that hangs."""

    def __init__(self, incoming: Incoming) -> None:
        self.incoming = incoming
        self._writers: dict[str, asyncio.Task[int]] = {}

    async def interrupt(self, id: str) -> None:
        """End the connection that now writes to an upload, if there is one; what it brought is kept."""
        while writer := self._writers.pop(id, None):
            writer.cancel()
            await asyncio.wait([writer])

    async def receive(self, request: Request, arrival: Arrival, offset: int) -> int:
        """Append the request's body at `offset`; the offset after it."""
        await self.interrupt(arrival.id)
        task = self._writers[arrival.id] = asyncio.create_task(self._write(request, arrival, offset))
        try:
            await asyncio.wait([task])
        finally:
            if self._writers.get(arrival.id) is task:  # not taken over
                del self._writers[arrival.id]
            task.cancel()  # of use only when the server stops
        if task.cancelled():
            raise Refused(409, "Another connection goes on with this upload.")
        return task.result()

    async def _write(self, request: Request, arrival: Arrival, offset: int) -> int:
        there = self.incoming.offset(arrival.id)
        if there != offset:
            raise Refused(409, f"{there} bytes have arrived, so go on from there and not from {offset}.")
        path = self.incoming.data(arrival.id)
        async with Writer(path, lambda: self.incoming.require_room(arrival.name, 0)) as writer:
            async for piece in pieces(request):
                if offset + len(piece) > arrival.length:
                    raise Refused(413, f"More came than the {arrival.length} bytes that were announced.")
                await writer.add(piece)
                offset += len(piece)
        return self.incoming.offset(arrival.id)


def _arrival(length: str | None, metadata: str) -> Arrival:
    if len(metadata) > MOST_METADATA:
        raise Refused(400, f"Upload-Metadata is longer than {MOST_METADATA} characters.")
    found = _decoded(metadata)
    preset = found.get("preset", "")
    if preset and preset not in PRESETS:
        raise Refused(422, f"There is no preset '{preset[:40]}'; choose {', '.join(PRESETS)}.")
    return Arrival(
        id="",
        name=safe_name(found.get("filename") or found.get("name") or "video"),
        length=_number(length, "Upload-Length"),
        preset=preset,
        hold="hold" in found,
        title=found.get("name", ""),
        metadata=metadata,
    )


def _decoded(metadata: str) -> dict[str, str]:
    pairs = (part.strip().split(" ", 1) for part in metadata.split(",") if part.strip())
    try:
        return {
            pair[0]: base64.b64decode(pair[1] if len(pair) > 1 else "", validate=True).decode("utf-8", "replace")
            for pair in pairs
        }
    except (binascii.Error, ValueError):
        raise Refused(400, "Upload-Metadata is not pairs of a name and a Base64 text.") from None


def _number(text: str | None, header: str) -> int:
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise Refused(400, f"{header} must be a number of bytes.")
    return int(text)


def _require_version(version: str | None) -> None:
    if version != VERSION:
        raise Refused(412, f"This server speaks tus {VERSION}; send 'Tus-Resumable: {VERSION}'.", Tus_Version=VERSION)


def _expires() -> str:
    return formatdate(time.time() + KEEP_SECONDS, usegmt=True)


def _answer(status: int, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status_code=status, headers={"Tus-Resumable": VERSION, **named})
