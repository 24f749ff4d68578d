"""The child process of `decode.VideoReader`: decodes, scales, turns and converts, and sends plain arrays."""

from __future__ import annotations

import errno
import gc
from pathlib import Path
from typing import Any

import av.error
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from reconstruction_pipeline.artifacts.guarded import Replies, serve
from reconstruction_pipeline.stages.keyframes.color import HDR_PEAK_NITS
from reconstruction_pipeline.stages.keyframes.frames import Frame, FrameStream
from reconstruction_pipeline.stages.keyframes.upright import gray_frame, signal_peak, upright_frame

# Frames whose metadata are read for the brightest light of an HDR video.
FRAMES_ASKED = 4


def work(request: dict[str, Any], replies: Replies) -> None:
    """`request`: `path`, `stream`, `max_pixels`, `max_frames`, `size`, and `wanted`: null for all frames in grey, or a
    list of [index, time] of those to be sent in colour, without what `cut` says; `hardware`: may it decode?
    """
    stream = FrameStream(
        Path(request["path"]),
        request["stream"],
        request["max_pixels"],
        alive=replies.alive,
        hardware=request["hardware"],
    )
    problem = ""
    try:
        if request["wanted"] is None:
            problem = _grays(stream, request["size"], request["max_frames"], replies)
        else:
            wanted = [(int(i), float(t)) for i, t in request["wanted"]]
            _pictures(stream, request["size"], wanted, tuple(request["cut"]), replies)
    except av.error.FFmpegError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError from error
        problem = f"finds no readable video ({(error.strerror or str(error)).rstrip('.')})"
    replies.send({"summary": {"errors": stream.errors, "problem": problem, "decoder": stream.decoder}})


def _grays(stream: FrameStream, size: int, max_frames: int, replies: Replies) -> str:
    reformatter = VideoReformatter()
    for frame in stream.frames():
        if frame.index >= max_frames:
            return f"met more than {max_frames} frames"
        _send(replies, frame, gray_frame(reformatter, frame.picture, stream.aspect, size))
    return ""


def _pictures(
    stream: FrameStream, size: int, wanted: list[tuple[int, float]], cut: tuple[float, float], replies: Replies
) -> None:
    reformatter, sent, peak = VideoReformatter(), 0, None
    for frame in stream.frames([time for _, time in wanted]):
        # Early frames say it for all, and a pass begins at the first. Asking ties the frame into a reference cycle, so
        # that it stays in memory until the next collection: hundreds of frames, were all of them asked.
        if peak is None and frame.index < FRAMES_ASKED:
            peak = signal_peak(frame.picture)
        index, time = wanted[sent]
        if frame.time_s != time if stream.skipped else frame.index != index:
            continue
        rgb = upright_frame(reformatter, frame.picture, stream.aspect, size, peak or HDR_PEAK_NITS, cut)
        _send(replies, Frame(index, time, None), rgb)
        gc.collect()
        sent += 1
        if sent == len(wanted):
            return


def _send(replies: Replies, frame: Frame, array: npt.NDArray[np.uint8]) -> None:
    data = np.ascontiguousarray(array)
    replies.send({"index": frame.index, "time_s": frame.time_s, "shape": data.shape}, data.data.cast("B"))


if __name__ == "__main__":
    serve(work)
