"""Probing one video file with PyAV: index, stream parameters and one decoded frame."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from reconstruction_pipeline.artifacts.containers import OPEN_OPTIONS
from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.stages.ingest.iso_boxes import iso_facts, top_level
from reconstruction_pipeline.stages.ingest.limits import IngestLimits
from reconstruction_pipeline.stages.ingest.probe import Probe
from reconstruction_pipeline.stages.ingest.spherical import EQUIRECTANGULAR, spherical_projection

# A stream that shows nothing within this many packets is not worth waiting for.
PACKETS_TO_FIRST_FRAME = 300
# So many tell the rate; where the container says how long it lasts, the rest need not be counted.
PACKETS_TO_RATE = 1000
# Frames further from the median interval than this part of it are uneven; phones jitter by a tick.
UNEVEN = 0.25
UNEVEN_SHARE = 0.02
# ITU-T H.273 transfer characteristics and colour primaries.
TRANSFERS = {16: "pq", 18: "hlg"}
PRIMARIES = {0: "bt709", 1: "bt709", 2: "bt709", 5: "bt709", 6: "bt709", 9: "bt2020", 12: "p3"}
NOT_THE_FILM = (
    av.stream.Disposition.attached_pic
    | av.stream.Disposition.timed_thumbnails
    | av.stream.Disposition.still_image
    | av.stream.Disposition.dependent
)


def probe_video(path: Path, limits: IngestLimits, alive: Callable[[], None] = lambda: None) -> Probe:
    """Probe a video file; raise `InputRejected` when it cannot become keyframes."""
    try:
        with av.open(str(path), options=OPEN_OPTIONS) as container:
            return _probe_container(path, container, limits, alive)
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        if getattr(error, "errno", None) == errno.ENOMEM:
            raise MemoryError from error
        raise InputRejected(_why_unreadable(path, error)) from error


def _probe_container(path: Path, container: Any, limits: IngestLimits, alive: Callable[[], None]) -> Probe:
    name = path.name
    stream, others = _choose(container, name)
    codec = stream.codec_context.name
    if stream.width * stream.height > limits.max_video_pixels or max(stream.width, stream.height) > limits.max_side:
        raise InputRejected(f"{name}: {stream.width}x{stream.height} pixels is over the size limit; scale it down.")
    timing = _timing(container, stream, alive)
    duration = timing.duration_s
    if duration > limits.max_duration_s or timing.frames > limits.max_frames:
        raise InputRejected(
            f"{name}: {duration / 60:.0f} minutes and {timing.frames} frames are over the limits of"
            f" {limits.max_duration_s / 60:.0f} minutes and {limits.max_frames} frames; cut it."
        )
    if timing.frames < limits.min_frames or duration < limits.min_duration_s:
        raise InputRejected(
            f"{name}: {timing.frames} frame{'s' * (timing.frames != 1)} over {duration:.2f} s is too little to"
            f" reconstruct; at least {limits.min_frames} frames and {limits.min_duration_s:g} s are needed,"
            " film 10 s or more while moving."
        )
    stream.codec_context.options = {"max_pixels": str(limits.max_video_pixels)}
    frame = _first_frame(container, stream, alive)
    if frame is None:
        raise InputRejected(f"{name}: no frame of its {codec} stream can be decoded; export or copy it again.")
    facts = iso_facts(path)
    projection = spherical_projection(frame, facts.projection)
    if projection not in ("flat", EQUIRECTANGULAR):
        raise InputRejected(
            f"{name}: this is a 360° video ({projection}); of these only equirectangular ones of one eye are"
            " understood: export it as such with the camera's own app, or as flat views (reframing)."
        )
    aspect = float(stream.sample_aspect_ratio or 1) or 1.0
    width, height = max(round(frame.width * aspect), 1), frame.height
    rotation = int(frame.rotation)
    if rotation % 180:
        width, height = height, width
    return Probe(
        kind="video",
        name=name,
        codec=codec,
        width=width,
        height=height,
        frames=timing.frames,
        duration_s=round(duration, 6),
        rate_hz=round(timing.frames / duration, 6),
        variable_rate=timing.uneven,
        rotation_deg=rotation,
        mirrored=_mirrored(frame),
        pixel_aspect=round(aspect, 6),
        container=container.format.name,
        pixel_format=frame.format.name,
        bit_depth=max((component.bits for component in frame.format.components), default=8),
        transfer=TRANSFERS.get(int(frame.color_trc or 0), "sdr"),
        primaries=PRIMARIES.get(int(frame.color_primaries or 0), "other"),
        full_range=int(frame.color_range) == 2 or frame.format.name.startswith("yuvj"),
        edit_list=facts.edit_list,
        video_streams=others,
        stream=stream.index,
        sensor_tracks=", ".join(sorted(set(facts.sensor_tracks))),
        projection=projection,
    )


def _choose(container: Any, name: str) -> tuple[Any, int]:
    """The stream worth reconstructing, and how many real video streams there are.

    Cameras add thumbnails, previews and second lenses: the one with the most pixels wins, then the one that players
    show, then the longest.
    """
    real = [s for s in container.streams.video if not s.disposition & NOT_THE_FILM]
    if not real:
        tracks = "only sound" if container.streams.audio else "no video track"
        raise InputRejected(f"{name}: the file has {tracks}, no moving picture; give the video itself.")
    decodable = [s for s in real if s.codec_context is not None and s.codec_context.width > 0]
    if not decodable:
        raise InputRejected(f"{name}: no decoder for its video codec; convert it to H.264 or HEVC.")
    moving = [s for s in decodable if s.frames != 1] or decodable
    shown = av.stream.Disposition.default

    def worth(stream: Any) -> tuple[int, bool, int, int]:
        return stream.width * stream.height, bool(stream.disposition & shown), int(stream.frames or 0), -stream.index

    return max(moving, key=worth), len(real)


@dataclass(frozen=True)
class _Timing:
    frames: int
    duration_s: float
    uneven: bool


def _timing(container: Any, stream: Any, alive: Callable[[], None]) -> _Timing:
    """Frames, seconds and evenness from the index; where there is none, from the packets' times."""
    base = float(stream.time_base or 0)
    frames = int(stream.frames or 0)
    duration = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    if not duration and container.duration and container.duration > 0:
        duration = container.duration / av.time_base
    if frames > 0 and duration > 0:
        entries = stream.index_entries
        if len(entries) >= frames // 2 > 0:
            times = [entry.timestamp * base for entry in entries[: min(len(entries), PACKETS_TO_RATE)]]
        else:
            _, times, _ = _read_packets(container, stream, PACKETS_TO_RATE, alive)
        return _Timing(frames, duration, _uneven(times))
    count, times, ended = _read_packets(container, stream, PACKETS_TO_RATE if duration > 0 else None, alive)
    if not ended and duration > 0 and (span := max(times, default=0.0) - min(times, default=0.0)) > 0:
        return _Timing(round(count * duration / span), duration, _uneven(times))
    if times and max(times) > min(times):
        duration = (max(times) - min(times)) * count / max(count - 1, 1)
    elif duration <= 0 and stream.average_rate:
        duration = count / float(stream.average_rate)
    return _Timing(count, duration, _uneven(times))


def _read_packets(
    container: Any, stream: Any, most: int | None, alive: Callable[[], None]
) -> tuple[int, list[float], bool]:
    """(packets, their times in seconds, whether the file ended), from the beginning, to which the file is rewound."""
    times: list[float] = []
    count, ended = 0, True
    try:
        for packet in container.demux(stream):
            alive()
            if packet.size:
                count += 1
                if packet.pts is not None:
                    times.append(float(packet.pts * packet.time_base))
            if most is not None and count >= most:
                ended = False
                break
    except av.error.FFmpegError:
        pass  # a damaged tail: what came before it counts, and decoding will tell the rest
    container.seek(0)
    return count, times, ended


def _uneven(times: list[float]) -> bool:
    steps = np.diff(np.sort(np.array(times)))
    if len(steps) < 4:
        return False
    median = float(np.median(steps))
    return bool(np.mean(np.abs(steps - median) > UNEVEN * median) > UNEVEN_SHARE)


def _first_frame(container: Any, stream: Any, alive: Callable[[], None]) -> Any:
    for number, packet in enumerate(container.demux(stream)):
        alive()
        try:
            for frame in packet.decode():
                return frame
        except av.error.FFmpegError as error:
            if error.errno == errno.ENOMEM:
                raise MemoryError from error
        if number > PACKETS_TO_FIRST_FRAME:
            break
    return None


def _mirrored(frame: Any) -> bool:
    try:
        matrix = np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"])[:36], np.int32).astype(float)
    except (KeyError, av.error.FFmpegError):
        return False
    return len(matrix) == 9 and bool(matrix[0] * matrix[4] < matrix[1] * matrix[3])


def _why_unreadable(path: Path, error: Exception) -> str:
    """One sentence on a file that FFmpeg does not open."""
    if kind := _picture_format(path):
        return f"{path.name}: this is one {kind} picture, not a video; give a video, or a folder of at least 8 photos."
    boxes = top_level(path)
    if "ftyp" in boxes and "moov" not in boxes:
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
