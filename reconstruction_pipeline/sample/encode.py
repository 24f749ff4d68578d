"""Frames into an H.264 file, tagged as what they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reconstruction_pipeline.artifacts.errors import MissingRequirement
from reconstruction_pipeline.sample.variants import Variant

_BT709 = 1  # the code of primaries, transfer and matrix alike in H.264's tables
_LIMITED = 1


def write_video(path: Path, frames: Iterable[NDArray[np.uint8]], variant: Variant) -> None:
    """Writes sRGB `frames` (h, w, 3) as yuv420p, BT.709, limited range; frame i is shown at i / fps seconds.

    The file's bytes may differ from run to run (x264's look-ahead does at very small sizes); its frames hardly do.
    Raises `MissingRequirement` where PyAV was built without libx264.
    """
    import av
    from av.video.reformatter import ColorRange, Colorspace

    if "libx264" not in av.codecs_available:
        raise MissingRequirement(
            "the sample video needs libx264, which this PyAV lacks: install the 'av' wheel from PyPI"
        )
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=variant.fps, options={"crf": str(variant.crf), "preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = variant.width, variant.height, "yuv420p"
        stream.gop_size = 2 * variant.fps
        context = stream.codec_context
        context.thread_count = 1  # the other cores are busy drawing the next frames
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
