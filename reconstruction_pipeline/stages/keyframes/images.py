"""Small things that are done to pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]


def write_jpeg(path: Path, rgb: Rgb, quality: int) -> None:
    """Write without any metadata of the source."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise OSError(f"{path}: the JPEG encoder refused the image")
    path.write_bytes(data.tobytes())


def gray_of(rgb: Rgb, max_size: int) -> Rgb:
    """(H, W) grey at analysis size."""
    scale = min(1.0, max_size / max(rgb.shape[:2]))
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
