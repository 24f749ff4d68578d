"""The pictures that SOG keeps numbers in: rows of splats as pixels, as lossless WebP."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


def texture(rgb: Bytes, alpha: Bytes) -> Bytes:
    """Rows of splats (N, 3) and (N,) as a picture (h, w, 4), row-major; the sides are multiples of 4."""
    width, height = texture_size(len(rgb))
    pixels = np.zeros((height * width, 4), np.uint8)
    # Padding repeats the last splat, which costs a lossless coder nothing.
    pixels[:, :3], pixels[:, 3] = rgb[-1], alpha[-1]
    pixels[: len(rgb), :3], pixels[: len(rgb), 3] = rgb, alpha
    return pixels.reshape(height, width, 4)


def texture_size(count: int) -> tuple[int, int]:
    """(width, height) of the pictures that hold `count` splats."""
    width = 4 * int(np.ceil(np.sqrt(count) / 4))
    return width, 4 * int(np.ceil(count / width / 4))


def webp(pixels: Bytes) -> bytes:
    """A lossless WebP; `exact` keeps colours under alpha 0, which are data here.

    More effort (method 4 to 6) made the pictures no smaller and took up to forty times as long.
    """
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels, "RGBA").save(buffer, "WEBP", lossless=True, exact=True, method=2, quality=75)
    return buffer.getvalue()
