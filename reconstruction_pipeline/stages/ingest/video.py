"""Probing one video file with PyAV: index, stream parameters and one decoded frame."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av
import av.error

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.stages.ingest.limits import IngestLimits
from reconstruction_pipeline.stages.ingest.probe import Probe

# Real containers only: no playlists, scripts or picture sequences, which could make FFmpeg open other files.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,mxf,flv,ogg,asf,obu,ivf"
OPEN_OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
# A stream that shows nothing within this many packets is not worth waiting for.
PACKETS_TO_FIRST_FRAME = 300
# ITU-T H.273 transfer characteristics.
TRANSFERS = {16: "pq", 18: "hlg"}


def probe_video(path: Path, limits: IngestLimits) -> Probe:
    """Probe a video file; raise `InputRejected` when it cannot become keyframes."""
    try:
        with av.open(str(path), options=OPEN_OPTIONS) as container:
            return _probe_container(path, container, limits)
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        raise InputRejected(_why_unreadable(path, error)) from error


def _probe_container(path: Path, container: Any, limits: IngestLimits) -> Probe:
    name = path.name
    streams = [s for s in container.streams.video if not _is_cover_picture(s)]
    if not streams:
        tracks = "only sound" if container.streams.audio else "no video track"
        raise InputRejected(f"{name}: the file has {tracks}, no moving picture; give the video itself.")
    stream = streams[0]
    codec = stream.codec_context.name if stream.codec_context is not None else "unknown"
    if stream.codec_context is None:
        raise InputRejected(f"{name}: no decoder for its video codec; convert it to H.264 or HEVC.")
    if stream.width * stream.height > limits.max_pixels:
        raise InputRejected(f"{name}: {stream.width}x{stream.height} pixels is over the size limit; scale it down.")
    frames, duration = _length(container, stream)
    if duration > limits.max_duration_s:
        raise InputRejected(
            f"{name}: {duration / 60:.0f} minutes is over the limit of {limits.max_duration_s / 60:.0f}; cut it."
        )
    if frames < limits.min_frames or duration < limits.min_duration_s:
        raise InputRejected(
            f"{name}: {frames} frame{'s' * (frames != 1)} over {duration:.2f} s is too little to reconstruct; at least"
            f" {limits.min_frames} frames and {limits.min_duration_s:g} s are needed, film 10 s or more while moving."
        )
    frame = _first_frame(container, stream)
    if frame is None:
        raise InputRejected(f"{name}: no frame of its {codec} stream can be decoded; export or copy it again.")
    aspect = float(stream.sample_aspect_ratio or 1) or 1.0
    width, height = round(frame.width * aspect), frame.height
    rotation = int(frame.rotation)
    if rotation % 180:
        width, height = height, width
    return Probe(
        kind="video",
        name=name,
        codec=codec,
        width=width,
        height=height,
        frames=frames,
        duration_s=round(duration, 6),
        rate_hz=round(frames / duration, 6),
        rotation_deg=rotation,
        container=container.format.name,
        pixel_format=frame.format.name,
        transfer=TRANSFERS.get(int(frame.color_trc or 0), "sdr"),
    )


def _is_cover_picture(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _length(container: Any, stream: Any) -> tuple[int, float]:
    """(frames, seconds) from the index, or by reading through the packets where there is none."""
    frames = int(stream.frames or 0)
    duration = float(stream.duration * stream.time_base) if stream.duration else 0.0
    if not duration and container.duration:
        duration = container.duration / av.time_base
    if frames and duration:
        return frames, duration
    times = []
    frames = 0
    try:
        for packet in container.demux(stream):
            if packet.size:
                frames += 1
                if packet.pts is not None:
                    times.append(float(packet.pts * packet.time_base))
    except av.error.FFmpegError:
        pass  # a damaged tail: what came before it counts, and decoding will tell the rest
    container.seek(0)
    if times:
        duration = (max(times) - min(times)) * frames / max(frames - 1, 1)
    elif not duration and stream.average_rate:
        duration = frames / float(stream.average_rate)
    return frames, duration


def _first_frame(container: Any, stream: Any) -> Any:
    for number, packet in enumerate(container.demux(stream)):
        try:
            for frame in packet.decode():
                return frame
        except av.error.FFmpegError:
            pass
        if number > PACKETS_TO_FIRST_FRAME:
            break
    return None


def _why_unreadable(path: Path, error: Exception) -> str:
    """One sentence on a file that FFmpeg does not open."""
    if kind := _picture_format(path):
        return f"{path.name}: this is one {kind} picture, not a video; give a video, or a folder of at least 8 photos."
    atoms = _top_level_atoms(path)
    if "ftyp" in atoms and "moov" not in atoms:
        return (
            f"{path.name}: the video's index (moov) is missing, the recording or the copy was cut off;"
            " copy it again, or repair it with a tool like untrunc."
        )
    reason = getattr(error, "strerror", None) or str(error)
    return f"{path.name}: not a readable video ({reason.rstrip('.')}); give an MP4, MOV, MKV, WebM or AVI file."


def _picture_format(path: Path) -> str:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return str(image.format)
    except Exception:  # Pillow raises many kinds on garbage; any of them means "not a picture"
        return ""


def _top_level_atoms(path: Path) -> set[str]:
    """Names of the outermost boxes of an ISO media file; few reads, whatever its length."""
    names: set[str] = set()
    size = path.stat().st_size
    with path.open("rb") as file:
        offset = 0
        while offset + 8 <= size and len(names) < 64:
            file.seek(offset)
            length, kind = struct.unpack(">I4s", file.read(8))
            if length == 1:
                length = int.from_bytes(file.read(8), "big")
            names.add(kind.decode("latin-1"))
            if length < 8:
                break
            offset += length
    return names
