"""Is a video filmed all around? As its 360° marks say: those FFmpeg hands on with the frames, and those of the file."""

from __future__ import annotations

import struct
from typing import Any

import av.error

EQUIRECTANGULAR = "equirectangular"
# FFmpeg's enum AVSphericalProjection and enum AVStereo3DType.
PROJECTIONS = {
    0: EQUIRECTANGULAR, 1: "cube map", 2: "part of an equirectangular one", 3: "half equirectangular", 4: "flat",
    5: "fisheye",
}  # fmt: skip
ONE_EYE = 0


def spherical_projection(frame: Any, of_file: str) -> str:
    """EQUIRECTANGULAR, "flat", or what else it is, in words.

    `frame` is a PyAV frame; `of_file` is what the marks of the container say (`iso_boxes`), "flat" where it has none.
    """
    said = of_file
    mapping = _side_data(frame, "SPHERICAL")
    if len(mapping) >= 4:
        said = PROJECTIONS.get(struct.unpack("i", mapping[:4])[0], "of an unknown kind")
    if said == "flat":
        return said
    eyes = _side_data(frame, "STEREO3D")
    if len(eyes) >= 4 and struct.unpack("i", eyes[:4])[0] != ONE_EYE:
        return f"{said}, two eyes in one picture"
    return said


def _side_data(frame: Any, name: str) -> bytes:
    try:
        return bytes(frame.side_data[name])
    except (KeyError, av.error.FFmpegError):
        return b""
