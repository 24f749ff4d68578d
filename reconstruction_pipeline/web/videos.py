"""The API over videos: send one in, see what becomes of it, cancel, delete."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from reconstruction_pipeline.preset_names import PresetName
from reconstruction_pipeline.presets import PRESETS
from reconstruction_pipeline.web import tus
from reconstruction_pipeline.web.admitting import Admitted
from reconstruction_pipeline.web.context import Context, require
from reconstruction_pipeline.web.errors import Refused, responses
from reconstruction_pipeline.web.forms import receive_form
from reconstruction_pipeline.web.models import Accepted, Key, Video, Videos, VideoWithMetrics

MOST_JSON_BYTES = 200_000
JSON = "application/json"

router = APIRouter(tags=["Videos"])


class FromUploads(BaseModel):
    """A scene of uploads that have already come, resumably, and were to `hold`."""

    uploads: list[str] = Field(
        min_length=1, max_length=2000, description="The last parts of the addresses that the uploads were given."
    )
    preset: PresetName = PresetName.balanced
    name: str = Field("", max_length=200, description="What to call the scene; else the file's name.")


FORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "description": "One video, several photos, or one zip of photos.",
        },
        "preset": {"type": "string", "enum": list(PRESETS), "default": "balanced"},
        "name": {"type": "string", "description": "What to call the scene; else the file's name."},
    },
}
BODIES = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": FORM_SCHEMA},
            JSON: {"schema": FromUploads.model_json_schema(ref_template="#/components/schemas/{model}")},
        },
    }
}


@router.post(
    "/api/videos",
    status_code=202,
    response_model=Accepted,
    responses={
        200: {"model": Accepted, "description": "The same content is a scene already, or becomes one now."},
        201: {"description": "With `Tus-Resumable`: an upload was begun; its address is in `Location`."},
        **responses(400, 404, 408, 409, 412, 413, 415, 503, 507),
    },
    openapi_extra=BODIES,
    summary="Send a video, photos or a zip in",
)
async def send_in(request: Request) -> Response:
    """Three ways: a form with the files; JSON that names resumable uploads which have come; or, with the header
    `Tus-Resumable`, the beginning of a resumable upload (as `POST /api/uploads`), whose last byte begins the run.

    The capture is probed at once: what cannot be used is answered with 422 and one sentence, and leaves nothing.
    """
    if version := request.headers.get("tus-resumable"):
        headers = request.headers
        return await tus.begin(request, headers.get("upload-length"), headers.get("upload-metadata"), version)
    context = require(request, "upload", costly=True)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON:
        asked = await _read_json(request)
        return accepted(await context.admit(asked.uploads, asked.preset.value, asked.name))
    await run_in_threadpool(context.desk.require_dagster)  # rather now than after gigabytes
    form = await receive_form(request, context.incoming)
    preset = form.fields.get("preset") or "balanced"
    return accepted(await admit_form(context, form.uploads, preset, form.fields.get("name", "")))


async def admit_form(context: Context, uploads: list[str], preset: str, title: str) -> Admitted:
    """A scene of what a form brought; nothing of it is kept where it is refused."""
    try:
        if preset not in PRESETS:
            raise Refused(422, f"There is no preset '{preset[:40]}'; choose {', '.join(PRESETS)}.")
        return await context.admit(uploads, preset, title[:200])
    except Exception:
        for id in uploads:
            await run_in_threadpool(context.incoming.discard, id)
        raise


def accepted(admitted: Admitted) -> Response:
    """The answer to what was sent in."""
    url = f"/api/videos/{admitted.key}"
    body = Accepted(key=admitted.key, url=url, run_id=admitted.run_id, begun=admitted.begun)
    return Response(body.model_dump_json(), 202 if admitted.begun else 200, {"Location": url}, JSON)


async def _read_json(request: Request) -> FromUploads:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_JSON_BYTES:
            raise Refused(413, f"The request is longer than {MOST_JSON_BYTES} bytes.")
    try:
        return FromUploads.model_validate(json.loads(body))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "The request"
        raise Refused(422, f"{place}: {first['msg']}.") from None
    except ValueError:
        raise Refused(400, "The request is not JSON.") from None


@router.get("/api/videos", response_model=Videos, responses=responses(), summary="All videos")
async def list_videos(request: Request) -> Response:
    """Newest first. Send the `ETag` back as `If-None-Match`: nothing new is answered with 304 and no body."""
    context = require(request, "read")
    tag = f'"{context.epoch}-{context.board.revision}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(context.listing(), headers=headers, media_type=JSON)


@router.get("/api/videos/{key}", response_model=VideoWithMetrics, responses=responses(404), summary="One video")
async def one_video(request: Request, key: str) -> Response:
    """Its state, progress, numbers, grade, warnings, files, and where its run is to be seen."""
    found = require(request, "read").board.as_json(key)
    if found is None:
        raise Refused(404, "There is no such video.")
    return Response(found, headers={"Cache-Control": "private, no-cache"}, media_type=JSON)


@router.post(
    "/api/videos/{key}/cancel",
    status_code=202,
    response_model=Key,
    responses=responses(404, 409, 503),
    summary="Cancel the run",
)
async def cancel(request: Request, key: str) -> Key:
    """The run ends in some seconds; what its stages had stored is kept. Needs the role `upload`."""
    context = require(request, "upload", costly=True)
    video = await _fresh(context, key)
    if not video.is_active:
        raise Refused(409, f"{key}: no run is waiting or at work.")
    await run_in_threadpool(context.launcher.cancel, video.run_id)
    await run_in_threadpool(context.board.refresh)
    return Key(key=key)


@router.delete(
    "/api/videos/{key}", status_code=202, response_model=Key, responses=responses(404, 409, 503), summary="Delete"
)
async def delete(request: Request, key: str) -> Key:
    """The scene, all it was made from and its uploaded file, by the job `retire_video`. Needs the role `admin`."""
    context = require(request, "admin", costly=True)
    video = await _fresh(context, key)
    if video.is_active:
        raise Refused(409, f"{key}: its run is not finished; cancel it first.")
    if video.state != "deleting":
        await run_in_threadpool(context.launcher.retire, key)
        await run_in_threadpool(context.board.refresh)
    return Key(key=key)


async def _fresh(context: Context, key: str) -> Video:
    await run_in_threadpool(context.board.refresh)
    found = context.board.get(key)
    if found is None:
        raise Refused(404, "There is no such video.")
    return found
