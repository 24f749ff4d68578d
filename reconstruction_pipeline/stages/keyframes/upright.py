"""From a decoded frame to an array as people see it: square pixels, the display matrix applied, BT.709 colours."""

from __future__ import annotations

import struct
from typing import Any

import av.error
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation

from reconstruction_pipeline.stages.keyframes.color import HDR_PEAK_NITS, is_hdr, to_bt709_primaries, tone_map

Rgb = npt.NDArray[np.uint8]

# ITU-T H.273 matrix coefficients to swscale's names; what is not here is guessed from the size, as players do.
MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020", 10: "BT2020"}
HD_HEIGHT = 720
EXACTLY = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# Shapes of pixels beyond this are damage, not anamorphic lenses.
LARGEST_ASPECT = 4.0


def gray_frame(reformatter: Any, frame: Any, aspect: float, max_size: int) -> Rgb:
    """(H, W) luma of a PyAV frame, 0 to 255, square pixels, as stored (not turned), longest side at most `max_size`."""
    width, height = _size(frame, aspect, max_size)
    small = reformatter.reformat(
        frame, width=width, height=height, format="gray", interpolation=Interpolation.AREA, **_colours(frame)
    )
    return np.asarray(small.to_ndarray())


def upright_frame(
    reformatter: Any,
    frame: Any,
    aspect: float,
    max_size: int,
    peak_nits: float = HDR_PEAK_NITS,
    cut: tuple[float, float] = (0.0, 0.0),
) -> Rgb:
    """(H, W, 3) of a PyAV frame: square pixels, display matrix applied, BT.709, longest side at most `max_size`.

    `aspect` is the stream's sample aspect ratio (pixel width over height), `peak_nits` the brightest light of an HDR
    video, the same for all its frames (`signal_peak`). `cut` is what to leave out on either side, as parts of the
    stored width and height (`bars.common_bars`).
    """
    width, height = _size(frame, aspect, max_size, cut)
    transfer = int(frame.color_trc or 0)
    options = {"width": width, "height": height, "interpolation": EXACTLY, **_colours(frame)}
    if is_hdr(transfer):
        deep = reformatter.reformat(frame, format="rgb48le", **options).to_ndarray()
        image = tone_map(deep, transfer, peak_nits)
    else:
        image = reformatter.reformat(frame, format="rgb24", **options).to_ndarray()
        image = to_bt709_primaries(image, int(frame.color_primaries or 0))
    x, y = round(cut[0] * width), round(cut[1] * height)
    return np.ascontiguousarray(_turned(image[y : height - y, x : width - x], display_matrix(frame)))


def display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """(a, b, c, d): a pixel at (x, y) is shown at (a x + c y, b x + d y), y down; signs alone matter."""
    data = side_data(frame, "DISPLAYMATRIX")
    if len(data) < 36:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = struct.unpack("9i", data[:36])
    return (a, b, c, d) if a * d != b * c else (1, 0, 0, 1)


def signal_peak(frame: Any) -> float | None:
    """Brightest light of an HDR video in nits, as its static metadata says; None where it does not."""
    level = side_data(frame, "CONTENT_LIGHT_LEVEL")
    if len(level) >= 4 and (most := struct.unpack("I", level[:4])[0]):
        return float(np.clip(most, 100, 10000))
    mastering = side_data(frame, "MASTERING_DISPLAY_METADATA")
    if len(mastering) >= 88:
        numbers = struct.unpack("22i", mastering[:88])
        if numbers[21] and numbers[19] and numbers[18] > 0:
            return float(np.clip(numbers[18] / numbers[19], 100, 10000))
    return None


def side_data(frame: Any, name: str) -> bytes:
    """FFmpeg's side data of a frame; empty where there is none."""
    try:
        return bytes(frame.side_data[name])
    except (KeyError, av.error.FFmpegError):
        return b""


def _turned(image: Rgb, matrix: tuple[int, int, int, int]) -> Rgb:
    a, b, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        right, down = a, d
    else:
        image, right, down = image.swapaxes(0, 1), c, b
    return image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]


def _size(frame: Any, aspect: float, max_size: int, cut: tuple[float, float] = (0.0, 0.0)) -> tuple[int, int]:
    """(width, height) of the whole frame when what `cut` leaves of it fits `max_size`."""
    sane = aspect if 1 / LARGEST_ASPECT <= aspect <= LARGEST_ASPECT else 1.0
    width, height = frame.width * sane, frame.height
    scale = min(1.0, max_size / max(width * (1 - 2 * cut[0]), height * (1 - 2 * cut[1])))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _colours(frame: Any) -> dict[str, Any]:
    """How the frame's numbers are to be read, and that full-range numbers are wanted."""
    if frame.format.is_rgb or not any(component.is_chroma for component in frame.format.components):
        return {}
    guess = "ITU709" if frame.height >= HD_HEIGHT or frame.width > HD_HEIGHT else "ITU601"
    full = int(frame.color_range) == 2 or frame.format.name.startswith("yuvj")
    return {
        "src_colorspace": MATRICES.get(int(frame.colorspace), guess),
        "src_color_range": "JPEG" if full else "MPEG",
        "dst_color_range": "JPEG",
    }
