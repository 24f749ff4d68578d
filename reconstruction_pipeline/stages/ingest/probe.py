"""What is this input? Answered from headers and one decoded frame, before any work is planned."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from reconstruction_pipeline.artifacts.errors import InputRejected, UsageError
from reconstruction_pipeline.stages.ingest.limits import IngestLimits


@dataclass(frozen=True)
class Probe:
    """The findings. `width` and `height` are in pixels as people see it: upright, square pixels.

    `frames` is the number of photos, or the frames a video's index promises (not all need decode).
    `rotation_deg` is the display matrix, counter-clockwise as FFmpeg counts; photos keep 0 here.
    `transfer` is "sdr", "hlg" or "pq". `unusable` names photos that cannot be read.
    """

    kind: Literal["video", "photos"]
    name: str
    codec: str
    width: int
    height: int
    frames: int
    duration_s: float = 0.0
    rate_hz: float = 0.0
    rotation_deg: int = 0
    container: str = ""
    pixel_format: str = ""
    transfer: str = "sdr"
    unusable: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `probe.json`."""
        return {**asdict(self), "unusable": list(self.unusable)}


def probe(path: Path, limits: IngestLimits | None = None) -> Probe:
    """Find out what `path` holds: a video, or a folder or zip of JPEG or PNG photos.

    Raises `UsageError` when there is nothing at `path`, and `InputRejected` with one sentence when
    what is there cannot be reconstructed whatever the settings.
    """
    limits = limits or IngestLimits()
    path = Path(path)
    try:
        if not path.exists():
            raise UsageError(f"{path}: there is no such file or folder; check the path.")
        if path.is_dir() or path.suffix.lower() == ".json":
            from reconstruction_pipeline.stages.ingest.photos import probe_photos

            return probe_photos(path, limits)
        if not path.is_file():
            raise UsageError(f"{path}: neither a file nor a folder; give a video, or a folder or zip of photos.")
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise InputRejected(f"{path}: cannot be read ({error.strerror or error}); check its permissions.") from error
    if size == 0:
        raise InputRejected(f"{path.name}: the file is empty (0 bytes); copy it again from the camera.")
    if size > limits.max_bytes:
        raise InputRejected(
            f"{path.name}: {size / 1024**3:.0f} GiB is more than the limit of {limits.max_bytes / 1024**3:.0f} GiB;"
            " cut it into shorter videos."
        )
    if head in (b"PK\x03\x04", b"PK\x05\x06"):
        from reconstruction_pipeline.stages.ingest.photos import probe_photos

        return probe_photos(path, limits)
    from reconstruction_pipeline.stages.ingest.video import probe_video

    return probe_video(path, limits)
