"""The frames chosen for reconstruction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from reconstruction_pipeline.artifacts.base import Artifact

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Keyframes(Artifact):
    """`images/<name>` upright sRGB JPEGs in time (video) or name (photos) order.

    `keyframes.csv`: one row a chosen image: `name`, `timestamp_s`, `sharpness`, `motion_px` …
    `candidates.csv`: the same for every frame that was looked at, with `chosen` and `reason`.
    `camera.json`: `ordered` (true for video: neighbours in the table overlap), `width`, `height`,
    `focal_px` (a prior from EXIF, or null).
    """

    KIND: ClassVar[str] = "keyframes"
    REQUIRED: ClassVar[tuple[str, ...]] = ("images", "keyframes.csv", "camera.json")

    def table(self) -> pd.DataFrame:
        """The chosen images, one row each, in order."""
        import pandas as pd

        return pd.read_csv(self.path("keyframes.csv"))

    def camera(self) -> dict[str, Any]:
        """What is known of the camera before structure from motion."""
        result: dict[str, Any] = json.loads(self.path("camera.json").read_text())
        return result
