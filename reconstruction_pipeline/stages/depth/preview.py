"""A strip of a few views above their depth, for people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.depth_maps import DepthMap

COLUMNS = 5
HEIGHT_PX = 200
MAX_BYTES = 60_000


def write_strip(path: Path, pictures: list[npt.NDArray[np.uint8]], maps: list[DepthMap | None]) -> None:
    """Evenly chosen pictures (H, W, 3 RGB), each above its map in colour: near is red, far blue, unknown black."""
    import cv2

    known = [i for i, depth_map in enumerate(maps) if depth_map is not None]
    chosen = [known[k] for k in np.unique(np.linspace(0, len(known) - 1, COLUMNS).round().astype(int))]
    columns = []
    for i in chosen:
        depth_map = maps[i]
        assert depth_map is not None
        pair = np.vstack([pictures[i][:, :, ::-1], colourise(depth_map.depth)])
        width = max(1, round(pair.shape[1] * 2 * HEIGHT_PX / pair.shape[0]))
        columns.append(cv2.resize(pair, (width, 2 * HEIGHT_PX), interpolation=cv2.INTER_AREA))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_small_jpeg(path, np.hstack(columns))


def colourise(depth: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) BGR of the inverse depth between its 2nd and 98th percentile."""
    import cv2

    known = depth > 0
    if not known.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    inverse = 1 / np.where(known, depth, 1)
    low, high = np.percentile(inverse[known], [2, 98])
    level = np.clip((inverse - low) / max(high - low, 1e-12), 0, 1)
    colour = cv2.applyColorMap((255 * (0.08 + 0.84 * level)).astype(np.uint8), cv2.COLORMAP_TURBO)
    return np.where(known[..., None], colour, 0).astype(np.uint8)


def write_small_jpeg(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    """Write BGR as JPEG, lowering the quality until it is small enough to be shown inline."""
    import cv2

    data = b""
    for quality in (88, 80, 70, 60, 50, 40):
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(data) <= MAX_BYTES:
            break
    path.write_bytes(data)
