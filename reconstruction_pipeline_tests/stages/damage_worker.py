"""Reads damaged files one after the other under limits, and tells of each how it ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av.error
from av.video.reformatter import VideoReformatter

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.guarded import Replies, serve
from reconstruction_pipeline.stages.ingest.limits import IngestLimits
from reconstruction_pipeline.stages.ingest.probe import probe_here
from reconstruction_pipeline.stages.keyframes.frames import FrameStream
from reconstruction_pipeline.stages.keyframes.photo_files import read_photo
from reconstruction_pipeline.stages.keyframes.upright import gray_frame, upright_frame
from reconstruction_pipeline_tests.stages.damage import damaged


def work(request: dict[str, Any], replies: Replies) -> None:
    """`request`: `files`, `seeds`, and `work`, a folder for the damaged copies; an `outcome` for every pair."""
    originals = [Path(file) for file in request["files"]]
    contents = [file.read_bytes() for file in originals]
    for seed in request["seeds"]:
        which = seed % len(originals)
        kind, content = damaged(contents[which], seed // len(originals))
        path = Path(request["work"]) / f"damaged{originals[which].suffix}"
        path.write_bytes(content)
        replies.send({"begins": f"{originals[which].name} seed {seed}: {kind}"})
        try:
            outcome = _outcome(path, replies.alive)
        except MemoryError:
            # A child that has one file to read ends here, and its parent says so in a sentence.
            outcome = "memory"
        replies.send({"outcome": outcome, "kind": kind, "file": originals[which].name})


def _outcome(path: Path, alive: Callable[[], None]) -> str:
    if path.suffix in (".jpg", ".png", ".tif", ".heic"):
        return _photo(path)
    try:
        found = probe_here(path, IngestLimits(), alive)
    except InputRejected as error:
        sentence = str(error)
        return "rejected" if "\n" not in sentence and sentence.startswith(path.name) else f"bad sentence: {sentence}"
    if found.kind != "video":
        return "photos"
    stream, reformatter, count = FrameStream(path, found.stream, alive=alive), VideoReformatter(), 0
    try:
        for frame in stream.frames():
            gray_frame(reformatter, frame.picture, stream.aspect, 64)
            if count % 8 == 0:
                upright_frame(reformatter, frame.picture, stream.aspect, 64)
            count += 1
    except av.error.FFmpegError:
        return "unreadable"
    return "decoded" if count and not stream.errors else "partly" if count else "nothing"


def _photo(path: Path) -> str:
    try:
        read_photo(path, 64)
    except Exception as error:  # as the stage does: any error means that the photo is lost
        return f"lost: {type(error).__name__}"
    return "decoded"


if __name__ == "__main__":
    serve(work)
