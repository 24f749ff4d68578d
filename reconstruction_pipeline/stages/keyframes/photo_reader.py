"""Reading photos in a child process with limits: a file may break the decoder, but only that file is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from reconstruction_pipeline.artifacts.guarded import ChildFailed, ChildLimits, GuardedChild
from reconstruction_pipeline.stages.keyframes.photo_files import Photo

WORKER = "reconstruction_pipeline.stages.keyframes.photo_worker"
# A photo of 140 million pixels takes about a third of it.
LIMITS = ChildLimits(memory_mb=4000, stall_s=60.0)


def read_photos(files: Sequence[Path], max_size: int, limits: ChildLimits = LIMITS) -> Iterator[Photo | str]:
    """For each file in order its photo, or in a few words why it is lost."""
    done = 0
    while done < len(files):
        request = {"files": [str(file.absolute()) for file in files[done:]], "size": max_size}
        try:
            with GuardedChild(WORKER, request, limits) as child:
                for document, payload in child.messages():
                    done += 1
                    if lost := document.get("lost"):
                        yield lost
                        continue
                    rgb = np.frombuffer(payload, np.uint8).reshape(document["shape"])
                    yield Photo(rgb, document["focal_px"], document["camera"])
        except ChildFailed as failure:
            done += 1
            yield f"the decoder {failure}"
