"""The child process of `photo_reader`: decodes photos and sends plain arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.guarded import Replies, serve
from reconstruction_pipeline.stages.keyframes.photo_files import read_photo


def work(request: dict[str, Any], replies: Replies) -> None:
    """`request`: `files` and `size`; one reply for each file, with its pixels or what was `lost`."""
    for file in request["files"]:
        try:
            photo = read_photo(Path(file), request["size"])
        except MemoryError:
            raise
        except Exception as error:  # the decoders raise many kinds on damaged files; all mean the photo is lost
            replies.send({"lost": type(error).__name__})
            continue
        document = {"shape": photo.rgb.shape, "focal_px": photo.focal_px, "camera": photo.camera}
        replies.send(document, photo.rgb.tobytes())


if __name__ == "__main__":
    serve(work)
