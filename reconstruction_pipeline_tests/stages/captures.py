"""Small captures made on the spot: videos written with PyAV, and a room corner seen by exact cameras."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

Rgb = npt.NDArray[np.uint8]

REAL_CAPTURES = Path(os.environ.get("RECONSTRUCTION_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def real_capture(relative: str) -> Path:
    """A real capture, or a skip that says where it was looked for."""
    path = REAL_CAPTURES / relative
    if not path.exists():
        pytest.skip(f"the real capture {path} is not here (RECONSTRUCTION_TEST_DATA)")
    return path


def texture(size: int = 512, seed: int = 0) -> Rgb:
    """Noise at several scales: features everywhere, at every distance. (size, size, 3)."""
    rng = np.random.default_rng(seed)
    result = np.zeros((size, size, 3), np.float32)
    for cell in (4, 12, 40):
        noise = rng.random((size // cell + 2, size // cell + 2, 3)).astype(np.float32)
        result += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    result -= result.min()
    return (result / result.max() * 255).astype(np.uint8)


def write_video(
    path: Path,
    frames: Iterable[Rgb],
    rate: int = 15,
    codec: str = "libx264",
    times_s: Iterable[float] | None = None,
    rotation_deg: int = 0,
    options: dict[str, str] | None = None,
    crf: int = 18,
) -> Path:
    """Encode RGB frames; `times_s` gives each its own time (variable rate), `rotation_deg` a display matrix."""
    times = None if times_s is None else list(times_s)
    with av.open(str(path), "w", options=options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "ultrafast"} if codec == "libx264" else {}
        if times is not None:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for index, image in enumerate(frames):
            if index == 0:
                stream.height, stream.width = image.shape[:2]
                if rotation_deg:
                    stream.set_display_rotation(rotation_deg)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            if times is not None:
                frame.time_base = Fraction(1, 1000)
                frame.pts = round(times[index] * 1000)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def sliding_frames(count: int, width: int = 320, height: int = 240, step: float = 4.0, seed: int = 0) -> list[Rgb]:
    """A textured wall behind a nearer textured board that moves twice as fast: sideways motion with parallax."""
    wall, board = texture(1024, seed), texture(256, seed + 1)
    rows = slice(height // 4, min(3 * height // 4, 256))
    frames = []
    for i in range(count):
        left = int(i * step)
        frame = wall[100 : 100 + height, left : left + width].copy()
        x = width - 90 - int(i * step * 1.0)
        cut = slice(max(x, 0), min(x + 80, width))
        if cut.stop > cut.start:
            frame[rows, cut] = board[rows, cut.start - x : cut.stop - x]
        frames.append(frame)
    return frames


class RoomCorner:
    """A floor (y = 1, gravity along +y) and two walls, textured, seen by level cameras on an arc."""

    def __init__(self, width: int = 480, height: int = 360, focal: float = 400.0) -> None:
        self.width, self.height, self.focal = width, height, focal
        self._textures = [texture(1024, seed) for seed in (1, 2, 3)]

    def camera(self, angle: float, radius: float = 2.6) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """World-to-camera rotation (3, 3), and the centre (3,), on an arc looking at the corner, slightly down."""
        center = np.array([radius * np.sin(angle), -0.3 + 0.15 * np.sin(3 * angle), 2.0 - radius * np.cos(angle)])
        forward = np.array([0.0, 0.35, 2.0]) - center
        forward /= np.linalg.norm(forward)
        right = np.cross([0.0, 1.0, 0.0], forward)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward]), center

    def render(self, rotation: npt.NDArray[np.float64], center: npt.NDArray[np.float64]) -> Rgb:
        """(height, width, 3); pixel centres at half integers."""
        x, y = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        rays = np.stack([(x - self.width / 2) / self.focal, (y - self.height / 2) / self.focal, np.ones_like(x)], -1)
        rays = rays @ rotation
        nearest = np.full(x.shape, np.inf)
        image = np.zeros((self.height, self.width, 3), np.uint8)
        # Two walls that meet behind the scene, at +-45 degrees, and the floor.
        half = np.sqrt(0.5)
        planes = [((0, 1, 0), 1.0), ((half, 0, half), 2.4), ((-half, 0, half), 2.4)]
        for (normal, offset), picture in zip(planes, self._textures, strict=True):
            n = np.array(normal, float)
            with np.errstate(divide="ignore", invalid="ignore"):
                distance = (offset - center @ n) / (rays @ n)
            hit = (distance > 0.05) & (distance < nearest)
            points = center + np.where(hit, distance, 0.0)[..., None] * rays
            u = points @ _tangent(n)
            v = points @ np.cross(n, _tangent(n))
            sample = cv2.remap(
                picture,
                ((u * 160) % 1023).astype(np.float32),
                ((v * 160) % 1023).astype(np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_WRAP,
            )
            image[hit] = sample[hit]
            nearest[hit] = distance[hit]
        return image


def _tangent(normal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    axis = np.array([1.0, 0, 0]) if abs(normal[1]) > 0.9 else np.array([0, 1.0, 0])
    tangent = np.cross(axis, normal)
    return tangent / np.linalg.norm(tangent)
