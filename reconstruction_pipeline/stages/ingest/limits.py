"""What an input must have at least, and may have at most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class IngestLimits:
    """The lower bounds are what structure from motion needs; the upper ones keep hostile files harmless."""

    min_frames: int = 8
    min_duration_s: float = 1.0
    max_duration_s: float = 4 * 3600.0
    max_bytes: int = 100 * 1024**3
    max_pixels: int = 140_000_000
    max_photos: int = 10_000
    max_photo_bytes: int = 512 * 1024**2
