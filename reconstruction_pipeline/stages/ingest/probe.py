"""What is this input? Answered from headers and one decoded frame, before any work is planned."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from reconstruction_pipeline.artifacts.errors import InputRejected, UsageError
from reconstruction_pipeline.artifacts.guarded import ChildFailed, ChildLimits, GuardedChild
from reconstruction_pipeline.stages.ingest.limits import IngestLimits

WORKER = "reconstruction_pipeline.stages.ingest.probe_worker"


@dataclass(frozen=True)
class Probe:
    """The findings. `width` and `height` are in pixels as people see it: upright, square pixels.

    `frames` is the number of photos, or the frames a video's index promises (not all need decode).
    `rate_hz` is the mean; `variable_rate` tells that frames come at uneven times.
    `rotation_deg` is the display matrix, counter-clockwise as FFmpeg counts, `mirrored` that it flips too; photos keep
    0 here. `pixel_aspect` is a pixel's width over its height.
    `transfer` is "sdr", "hlg" or "pq"; `primaries` "bt709", "bt2020", "p3" or "other"; `full_range` and `bit_depth` are
    of the coded numbers.
    `edit_list` tells that the container cuts or shifts the track. Of `video_streams`, `stream` (an index among all the
    file's streams) is used. `sensor_tracks` are words. `projection` is "flat" or what 360° marks say.
    `unusable` names photos that cannot be read.
    """

    kind: Literal["video", "photos"]
    name: str
    codec: str
    width: int
    height: int
    frames: int
    duration_s: float = 0.0
    rate_hz: float = 0.0
    variable_rate: bool = False
    rotation_deg: int = 0
    mirrored: bool = False
    pixel_aspect: float = 1.0
    container: str = ""
    pixel_format: str = ""
    bit_depth: int = 8
    transfer: str = "sdr"
    primaries: str = "bt709"
    full_range: bool = False
    edit_list: bool = False
    video_streams: int = 1
    stream: int | None = None
    sensor_tracks: str = ""
    projection: str = "flat"
    unusable: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `probe.json`: photos keep only what is theirs."""
        return {**asdict(self), "unusable": list(self.unusable)}

    @classmethod
    def of_json(cls, document: dict[str, Any]) -> Probe:
        """The inverse of `to_json`."""
        return cls(**{**document, "unusable": tuple(document["unusable"])})


def probe(path: Path, limits: IngestLimits | None = None) -> Probe:
    """Find out what `path` holds: a video, or a folder or zip of photos.

    The file is looked at in a child process, which may take the time and memory that `limits` allows. Raises
    `UsageError` when there is nothing at `path`, and `InputRejected` with one sentence when what is there cannot be
    reconstructed whatever the settings, or does not let itself be read.
    """
    limits = limits or IngestLimits()
    path = Path(path)
    _require_there(path, limits)
    request = {"path": str(path.absolute()), "limits": asdict(limits)}
    try:
        with GuardedChild(WORKER, request, ChildLimits(limits.probe_memory_mb, limits.probe_stall_s)) as child:
            for document, _ in child.messages():
                if sentence := document.get("rejected"):
                    raise InputRejected(sentence)
                return Probe.of_json(document["found"])
    except ChildFailed as failure:
        raise InputRejected(
            f"{path.name}: cannot be read safely (the decoder {failure}); export it again as an ordinary video."
        ) from failure
    raise InputRejected(f"{path.name}: the probe found nothing; export it again as an ordinary video.")


def probe_here(path: Path, limits: IngestLimits, alive: Any = lambda: None) -> Probe:
    """`probe` in this process, for its child and for tests; `alive` is called often."""
    if path.is_dir() or path.suffix.lower() == ".json":
        from reconstruction_pipeline.stages.ingest.photos import probe_photos

        return probe_photos(path, limits, alive)
    with path.open("rb") as file:
        head = file.read(4)
    if head in (b"PK\x03\x04", b"PK\x05\x06"):
        from reconstruction_pipeline.stages.ingest.photos import probe_photos

        return probe_photos(path, limits, alive)
    from reconstruction_pipeline.stages.ingest.video import probe_video

    return probe_video(path, limits, alive)


def _require_there(path: Path, limits: IngestLimits) -> None:
    try:
        if not path.exists():
            raise UsageError(f"{path}: there is no such file or folder; check the path.")
        if path.is_dir():
            next(path.iterdir(), None)
            return
        if not path.is_file():
            raise UsageError(f"{path}: neither a file nor a folder; give a video, or a folder or zip of photos.")
        size = path.stat().st_size
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise InputRejected(f"{path}: cannot be read ({error.strerror or error}); check its permissions.") from error
    if size == 0:
        raise InputRejected(f"{path.name}: the file is empty (0 bytes); copy it again from the camera.")
    if size > limits.max_bytes:
        raise InputRejected(
            f"{path.name}: {size / 1024**3:.0f} GiB is more than the limit of {limits.max_bytes / 1024**3:.0f} GiB;"
            " cut it into shorter videos."
        )
