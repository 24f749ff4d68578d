"""Pictures of what compression changed, for the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reconstruction_pipeline.stages.compression.fidelity import Pair

AMPLIFIED = 8.0
QUALITIES = (85, 70, 55, 40, 25)


def write_comparison(path: Path, pair: Pair, captions: tuple[str, str], height: int = 300, most: int = 60_000) -> None:
    """A JPEG strip of at most about `most` bytes: photograph (if any), both scenes, their difference times eight.

    `captions`: what the two scenes are called.
    """
    from PIL import Image, ImageDraw

    difference = np.abs(pair.decoded - pair.reference) * AMPLIFIED
    panels = [_bytes(picture) for picture in (pair.reference, pair.decoded, difference)]
    words = [*captions, f"difference x{AMPLIFIED:g}"]
    if pair.photo is not None:
        panels, words = [pair.photo, *panels], ["photograph", *words]
    strip = Image.fromarray(np.concatenate(panels, axis=1))
    width = round(strip.width * height / strip.height)
    strip = strip.resize((width, height), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(strip)
    for column, caption in enumerate(words):
        pen.text((column * width / len(words) + 6, 4), caption, fill="white", stroke_width=2, stroke_fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    for quality in QUALITIES:
        strip.save(path, quality=quality, optimize=True)
        if path.stat().st_size <= most:
            return


def _bytes(picture: np.ndarray) -> np.ndarray:
    return (np.clip(picture, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
