"""What an input must have at least, and may have at most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class IngestLimits:
    """The lower bounds are what structure from motion needs; the upper ones keep hostile files harmless.

    max_video_pixels, max_pixels: of one frame and one photo; max_side: of either, pixels.
    max_unpacked: bytes in a zip over the bytes of the zip, for all of it and (`max_unpacked_photo`) for one file.
    probe_memory_mb, probe_stall_s: of the child process that looks at the file.
    """

    min_frames: int = 8
    min_duration_s: float = 1.0
    max_duration_s: float = 4 * 3600.0
    max_bytes: int = 100 * 1024**3
    max_frames: int = 2_000_000
    max_video_pixels: int = 80_000_000
    max_pixels: int = 140_000_000
    max_side: int = 65_500
    max_photos: int = 10_000
    max_photo_bytes: int = 512 * 1024**2
    max_unpacked: float = 20.0
    max_unpacked_photo: float = 200.0
    probe_memory_mb: int = 4000
    probe_stall_s: float = 60.0
