"""Decoding a HEIF photo with the HEVC decoder that videos use."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from reconstruction_pipeline.artifacts.heif import BadHeif, HeifPicture
from reconstruction_pipeline.stages.keyframes.upright import upright_frame

Rgb = npt.NDArray[np.uint8]

LARGEST_SIDE = 65536


def decode_heif(picture: HeifPicture) -> Rgb:
    """(H, W, 3) of the whole photo, upright, in sRGB where it says how its colours are coded.

    Raises `BadHeif` where the pieces do not make the picture, and `av.error.FFmpegError` where they do not decode.
    """
    if not picture.pieces or len(picture.pieces) % picture.columns:
        raise BadHeif("pieces are missing")
    tiles = [_tile(piece.config, piece.data, picture) for piece in picture.pieces]
    height, width = tiles[0].shape[:2]
    if any(tile.shape != tiles[0].shape for tile in tiles):
        raise BadHeif("tiles of different sizes")
    rows = [np.hstack(tiles[i : i + picture.columns]) for i in range(0, len(tiles), picture.columns)]
    if width * picture.columns < picture.width or height * len(rows) < picture.height:
        raise BadHeif("tiles smaller than the picture")
    image = np.vstack(rows)[: picture.height, : picture.width]
    if picture.icc:
        image = _to_srgb(image, picture.icc)
    image = np.rot90(image, picture.turns)
    if picture.mirror:
        image = image[:, ::-1] if picture.mirror == "left-right" else image[::-1]
    return np.ascontiguousarray(image)


def _tile(config: bytes, data: bytes, picture: HeifPicture) -> Rgb:
    decoder: Any = av.CodecContext.create("hevc", "r")
    decoder.extradata = config
    frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    if not frames:
        raise BadHeif("a piece without a picture")
    frame = frames[0]
    if picture.colour:
        primaries, transfer, matrix, full = picture.colour
        frame.color_primaries, frame.color_trc = primaries, transfer
        frame.colorspace, frame.color_range = matrix, 2 if full else 1
    if picture.icc:
        frame.color_primaries = 1  # the profile says what they are
    return upright_frame(VideoReformatter(), frame, 1.0, LARGEST_SIDE)


def _to_srgb(image: Rgb, profile: bytes) -> Rgb:
    from PIL import Image, ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            Image.fromarray(np.ascontiguousarray(image)), source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    return image if converted is None else np.asarray(converted)
