"""Where the camera was, by what people call the places: a keyframe, a photo, or a moment of the video."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.artifacts.keyframes import Keyframes

Array = npt.NDArray[np.float64]

# A moment of a video, as people write it: "12.5s".
MOMENT = re.compile(r"(\d+(?:\.\d+)?) ?s")


@dataclass(frozen=True)
class Places:
    """`names` of all keyframes in order; `photos` to keyframes, by name, without folder too where only one photo has
    it; `times_s` of the keyframes of a video, ascending.
    """

    names: Sequence[str]
    photos: Mapping[str, str] = field(default_factory=dict)
    times_s: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, keyframes: Keyframes) -> Places:
        """Those of an artifact."""
        rows = keyframes.table().to_dict("records")
        photos = {str(row["photo"]): str(row["name"]) for row in rows if isinstance(row.get("photo"), str)}
        short = Counter(PurePosixPath(photo).name for photo in photos)
        # A name that several folders have means none of them.
        photos |= {s: name for photo, name in photos.items() if short[s := PurePosixPath(photo).name] == 1}
        ordered = bool(keyframes.camera()["ordered"])
        moments = {str(row["name"]): float(row["timestamp_s"]) for row in rows} if ordered else {}
        known = {name: time for name, time in moments.items() if np.isfinite(time)}
        return cls([str(row["name"]) for row in rows], photos, dict(sorted(known.items(), key=lambda item: item[1])))

    def check(self, text: str) -> None:
        """Raise `UsageError` when there is no place of that name."""
        moment = self._moment(text)
        if moment is not None and self.times_s:
            first, *_, last = self.times_s.values()
            if first <= moment <= last:
                return
            raise UsageError(
                f"camera_poses: known_distance names {text}, but the keyframes are from {first:.1f} s to {last:.1f} s."
            )
        if self._name(text) is None:
            raise UsageError(
                f"camera_poses: known_distance names '{text}', which is no keyframe; give the name of a photo or of a"
                " keyframe (see keyframes.csv), or a moment of the video such as 12.5s."
            )

    def center(self, model: ColmapModel, text: str) -> Array | None:
        """(3,) where the camera was, between the keyframes before and after a moment; None when that is not known."""
        placed = {image.name: image.center for image in model.images}
        name = self._name(text)
        if name is not None:
            return placed.get(name)
        moment, times = self._moment(text), np.array(list(self.times_s.values()))
        if moment is None or len(times) < 2:
            return None
        after = int(np.clip(np.searchsorted(times, moment), 1, len(times) - 1))
        before_name, after_name = list(self.times_s)[after - 1 : after + 1]
        if before_name not in placed or after_name not in placed:
            return None
        share = (moment - times[after - 1]) / max(times[after] - times[after - 1], 1e-9)
        return np.asarray((1 - share) * placed[before_name] + share * placed[after_name])

    def _name(self, text: str) -> str | None:
        return text if text in self.names else self.photos.get(text)

    @staticmethod
    def _moment(text: str) -> float | None:
        found = MOMENT.fullmatch(text.strip())
        return float(found[1]) if found else None
