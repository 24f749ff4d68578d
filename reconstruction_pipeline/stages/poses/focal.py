"""Which focal length: the one that fits best, or the one that EXIF tells, where the pictures cannot decide.

Going forward, or with scarce matches, nearly any focal length fits: the scene is then stretched along the way, and
no figure of the adjustment shows it. Where the focal length of EXIF fits as well, it is the better witness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.poses.cameras import camera_groups
from reconstruction_pipeline.stages.poses.candidates import Climb, weigh
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.settings import PoseSettings
from reconstruction_pipeline.stages.poses.uncertainty import focal_uncertainty

# EXIF is rounded to whole millimetres of the 35 mm equivalent: nearer than that, the estimate is the better one.
ROUNDING = 0.03
# The mean error may rise by this share where the focal length of EXIF is held: as much as chance would do.
AS_WELL = 1.03
# Further than this from EXIF's, one of them is wrong: a cropped or zoomed picture, or a bent model.
DISAGREES = 0.15
# Errors were up to this many deviations on simulated captures: residuals are not independent of each other.
DEVIATIONS = 8.0
MOST_UNCERTAIN = 0.045
SIDEWAYS = "Move sideways around things, not only towards them, slowly and in good light."


@dataclass(frozen=True)
class FocalEvidence:
    """Of the camera that most images share, pixels of the keyframes: `estimate_px` found by adjustment, `exif_px`
    told by EXIF. `held`: the model has EXIF's. `deviation`: of the estimate, relative; None where not known.
    """

    estimate_px: float
    exif_px: float | None = None
    held: bool = False
    deviation: float | None = None

    @property
    def metrics(self) -> dict[str, Any]:
        """For the stage's metrics."""
        return {
            "focal_exif_px": None if self.exif_px is None else round(self.exif_px, 1),
            "focal_held_to_exif": self.held,
            "focal_deviation": None if self.deviation is None else round(self.deviation, 5),
        }

    @property
    def gates(self) -> list[Gate]:
        """`focal_exif` where EXIF tells something, and `focal_certain`; both warn."""
        gates = []
        off = 0.0 if self.exif_px is None else abs(math.log(self.estimate_px / self.exif_px))
        if self.exif_px is not None:
            said = f"The pictures fit a focal length of {self.estimate_px:.0f} px, EXIF says {self.exif_px:.0f} px"
            good = self.held or off <= DISAGREES
            message = f"{said}; EXIF's fits as well and is kept." if self.held else f"{said}."
            advice = "" if good else "Use the photos as the camera stored them: not cropped, not zoomed."
            gates.append(Gate("focal_exif", good, "warn", message, off, DISAGREES, advice))
        known = self.held or (self.exif_px is not None and off <= ROUNDING)
        if not known and self.deviation is None:
            return gates  # a lens that was given, and not estimated here
        uncertain = 0.0 if known or self.deviation is None else DEVIATIONS * self.deviation
        certain = uncertain <= MOST_UNCERTAIN
        message = (
            "The focal length is known well enough."
            if certain
            else f"The focal length is known to {100 * uncertain:.0f} % only: depth may be stretched by as much."
        )
        advice = "" if certain else SIDEWAYS
        gates.append(Gate("focal_certain", certain, "warn", message, uncertain, MOST_UNCERTAIN, advice))
        return gates


def settle_focal(
    found: Climb, keyframes: Keyframes, settings: PoseSettings, child: ColmapChild
) -> tuple[Climb, FocalEvidence]:
    """`found` as it is, or with its best model adjusted to the focal lengths of EXIF where these fit as well.

    Poses that came with the capture keep their lens. Raises what `ColmapChild.run` raises.
    """
    best = found.best
    camera = _main_camera(best.model)
    estimate = best.model.cameras[camera].params[0]
    if best.mapper == "given":
        return found, FocalEvidence(estimate)
    focals = _exif(keyframes, settings, best.model)
    exif = focals.get(camera)
    if exif is not None and abs(math.log(estimate / exif)) > ROUNDING and set(focals) == set(best.model.cameras):
        output = child.work / "held"
        job = {"task": "hold_focal", "model": str(best.folder), "output": str(output), "focals": focals}
        result = child.run(job)
        if result["held_px"] <= AS_WELL * result["free_px"]:
            database = Path(found.attempt()["database"])
            images = sum(len(group["names"]) for group in camera_groups(keyframes, settings))
            held = weigh(output, database, images, best.level, best.rung, best.mapper)
            return replace(found, best=held), FocalEvidence(estimate, exif, held=True)
    uncertainty = focal_uncertainty(best.model)
    return found, FocalEvidence(estimate, exif, deviation=None if uncertainty is None else uncertainty.relative)


def _main_camera(model: ColmapModel) -> int:
    return max(sorted(model.cameras), key=lambda key: sum(image.camera_id == key for image in model.images))


def _exif(keyframes: Keyframes, settings: PoseSettings, model: ColmapModel) -> dict[int, float]:
    """Focal lengths that EXIF tells, pixels, by the model's cameras."""
    by_name = {
        name: float(group["camera_params"][0])
        for group in camera_groups(keyframes, settings)
        if group["camera_params"]
        for name in group["names"]
    }
    return {image.camera_id: by_name[image.name] for image in model.images if image.name in by_name}
