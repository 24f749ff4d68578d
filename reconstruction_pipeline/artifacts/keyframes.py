"""The frames chosen for reconstruction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from reconstruction_pipeline.artifacts.base import Artifact
from reconstruction_pipeline.artifacts.camera_rig import CameraRig, read_views
from reconstruction_pipeline.artifacts.colmap import ColmapModel, read_model
from reconstruction_pipeline.artifacts.gps import GpsFix, read_gps

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Keyframes(Artifact):
    """`images/<name>` upright sRGB JPEGs in time (video) or name (photos) order.

    `keyframes.csv`: one row a chosen image: `name`, `timestamp_s`, `sharpness`, `motion_px` … and, of videos, `train`:
    0 for a soft frame that only links the path, which poses need and training must not see.
    `candidates.csv`: the same for every frame that was looked at, with `chosen` and `reason`.
    `camera.json`: `ordered` (true for video: neighbours in the table overlap), `width`, `height`,
    `focal_px` (a prior from EXIF, or null).
    `masks/<name>.png` of every image where the capture has masks: (height, width), 255 counts, 0 is ignored.
    `gps.csv` where the capture has GPS: positions by `name` (`artifacts.gps`), of a video interpolated in time.
    `given/` where the capture came with camera poses: a binary COLMAP model of the photos (column `photo` of the
    table) at their own size, with lens distortion and without points.
    `rig.json` of a 360° video: the views that every frame was cut into (`artifacts.camera_rig`); `frame` and `camera`
    of the table tell the moment and the view of each image.
    """

    KIND: ClassVar[str] = "keyframes"
    REQUIRED: ClassVar[tuple[str, ...]] = ("images", "keyframes.csv", "camera.json")

    def table(self) -> pd.DataFrame:
        """The chosen images, one row each, in order."""
        import pandas as pd

        return pd.read_csv(self.path("keyframes.csv"))

    def not_for_training(self) -> frozenset[str]:
        """Names of the images that are there for the poses only; empty for photos and for artifacts of old."""
        table = self.table()
        return frozenset(str(n) for n in table.loc[table["train"] == 0, "name"]) if "train" in table else frozenset()

    def mask_folder(self) -> str | None:
        """The folder of the masks as COLMAP wants it, or None when there are none."""
        folder = self.path("masks")
        return str(folder.resolve()) if folder.is_dir() and any(folder.iterdir()) else None

    def mask_path(self, name: str) -> Path | None:
        """The mask of the image of that name, or None."""
        path = self.path("masks", f"{name}.png")
        return path if path.is_file() else None

    def gps(self) -> list[GpsFix]:
        """Where images were taken; empty when that is not known of any."""
        return read_gps(self.path("gps.csv"))

    def given_poses(self) -> ColmapModel | None:
        """The poses that came with the capture, by photo; None where there were none."""
        folder = self.path("given")
        return read_model(folder) if folder.is_dir() else None

    def rig(self) -> CameraRig | None:
        """The views that move as one, of a 360° video; None of any other capture."""
        path = self.path("rig.json")
        if not path.is_file():
            return None
        shots = self.table().sort_values(["timestamp_s", "frame", "camera"]).groupby("frame", sort=False)["name"]
        return CameraRig(read_views(path), tuple(tuple(map(str, names)) for _, names in shots))

    def camera(self) -> dict[str, Any]:
        """What is known of the camera before structure from motion."""
        result: dict[str, Any] = json.loads(self.path("camera.json").read_text())
        return result
