"""Two shapes of API that clients of earlier servers of this kind speak, on top of the same functions.

A job is a video here, and its id is the video's key.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response, WebSocket
from starlette.concurrency import run_in_threadpool

from reconstruction_pipeline.web.context import Context, require
from reconstruction_pipeline.web.errors import Refused, responses
from reconstruction_pipeline.web.events import tell
from reconstruction_pipeline.web.files import send
from reconstruction_pipeline.web.forms import receive_form
from reconstruction_pipeline.web.models import State, Video
from reconstruction_pipeline.web.videos import admit_form

MODES = {
    "fast": "fastest", "fastest": "fastest", "quick": "fastest", "draft": "fastest", "preview": "fastest",
    "": "balanced", "balanced": "balanced", "default": "balanced", "standard": "balanced", "normal": "balanced",
    "quality": "quality", "high": "quality", "best": "quality",
}  # fmt: skip
FRAMES = ("", "source_video", "keyframes", "camera_poses", "depth_maps")
STATUS = {State.done: "completed", State.failed: "failed", State.canceled: "failed", State.running: "processing"}

router = APIRouter(tags=["Earlier clients"])


def _body(name: str, *fields: str) -> dict[str, Any]:
    file = {"type": "array", "items": {"type": "string", "format": "binary"}}
    properties = {name: file, **{field: {"type": "string", "enum": sorted(m for m in MODES if m)} for field in fields}}
    schema = {"type": "object", "required": [name], "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


async def _send_in(request: Request) -> str:
    context = require(request, "upload", costly=True)
    await run_in_threadpool(context.desk.require_dagster)
    form = await receive_form(request, context.incoming)
    mode = form.fields.get("mode", form.fields.get("preset", "")).lower()
    return (await admit_form(context, form.uploads, MODES.get(mode, mode), "")).key


def _job(context: Context, job_id: str) -> Video:
    video = context.board.get(job_id)
    if video is None:
        raise Refused(404, "There is no such job.")
    return video


@router.post(
    "/api/upload",
    responses=responses(400, 408, 413, 415, 503, 507),
    openapi_extra=_body("files", "mode"),
    summary="Files in, a job id back",
)
async def upload(request: Request) -> dict[str, str]:
    """Form fields `files` and `mode` (a preset, or fast, balanced, high)."""
    return {"job_id": await _send_in(request)}


@router.get("/api/status/{job_id}", responses=responses(404), summary="How a job is doing")
async def status(request: Request, job_id: str) -> dict[str, Any]:
    """`status` is queued, processing, completed or failed."""
    video = _job(require(request, "read"), job_id)
    return {
        "job_id": video.key,
        "status": STATUS.get(video.state, "queued"),
        "stage": video.stage,
        "progress": video.progress,
        "detail": video.detail,
        "error": video.error,
    }


@router.get("/api/result/{job_id}", responses=responses(404, 409), summary="What came of a job")
async def result(request: Request, job_id: str) -> dict[str, Any]:
    """The files' addresses and the numbers; 409 until the job is completed."""
    context = require(request, "read")
    video = _job(context, job_id)
    if not video.is_done:
        raise Refused(409, video.error or f"{job_id} is not completed; it is {STATUS.get(video.state, 'queued')}.")
    full = context.board.with_metrics(job_id)
    return {
        "job_id": video.key,
        "status": "completed",
        "grade": video.grade,
        "outputs": {file.name: f"/outputs/{video.key}/{file.name}" for file in video.files},
        "metrics": full.metrics if full else None,
    }


@router.websocket("/ws/{job_id}")
async def events(socket: WebSocket, job_id: str) -> None:
    """The messages of `/api/videos/{key}/events`."""
    await tell(socket, job_id)


@router.get("/outputs/{job_id}/{name:path}", response_class=Response, responses=responses(404, 416), summary="A file")
@router.head("/outputs/{job_id}/{name:path}", include_in_schema=False)
async def output(request: Request, job_id: str, name: str) -> Response:
    """As `/api/videos/{key}/files/{name}`."""
    return await send(request, require(request, "read"), job_id, name)


@router.post(
    "/api/jobs/upload",
    responses=responses(400, 408, 413, 415, 503, 507),
    openapi_extra=_body("file"),
    summary="A video in, a job id back",
)
async def upload_job(request: Request) -> dict[str, str]:
    """Form field `file`."""
    return {"job_id": await _send_in(request), "status": "pending"}


@router.get("/api/jobs/{job_id}/status", responses=responses(404), summary="How a job is doing, in its own words")
async def job_status(request: Request, job_id: str) -> dict[str, Any]:
    """`status` is pending, extracting_frames, training, exporting, completed or failed."""
    video = _job(require(request, "read"), job_id)
    model = any(file.name == "scene.ply" for file in video.files)
    return {
        "job_id": video.key,
        "status": _phase(video),
        "progress": video.progress,
        "error_message": video.error,
        "model_url": f"/static/models/{video.key}.ply" if video.is_done and model else None,
        "created_at": _iso(video.created_at),
        "updated_at": _iso(video.updated_at),
    }


@router.get("/static/models/{job_id}.ply", response_class=Response, responses=responses(404, 416), summary="The splats")
@router.head("/static/models/{job_id}.ply", include_in_schema=False)
async def model(request: Request, job_id: str) -> Response:
    """`scene.ply`."""
    return await send(request, require(request, "read"), job_id, "scene.ply", download_as=f"{job_id}.ply")


def _phase(video: Video) -> str:
    if video.is_done:
        return "completed"
    if video.state in (State.failed, State.canceled):
        return "failed"
    if video.state is not State.running:
        return "pending"
    if video.stage in FRAMES:
        return "extracting_frames"
    return "training" if video.stage == "gaussian_splats" else "exporting"


def _iso(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None
