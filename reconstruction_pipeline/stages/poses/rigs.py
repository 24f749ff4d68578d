"""Views that move as one (those of a 360° video) as a rig of COLMAP's: what is known of them stays as it is.

One pose is found for all views of a moment, from the points that any of them sees; their relative rotations, and the
lens that they were cut out with, are exact and never adjusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from reconstruction_pipeline.artifacts.camera_rig import CameraRig

# The lens of views that were cut out of panoramas: COLMAP's model without any distortion.
CAMERA_MODEL = "SIMPLE_PINHOLE"
# Views of two moments whose axes are at most this far apart in the rig are compared: what leaves one view enters the
# next. Degrees.
NEIGHBOURING_DEG = 91.0


def described(rig: CameraRig | None) -> dict[str, Any] | None:
    """The rig for the child process: `rotations` (V, 3, 3) and `shots`, as of `CameraRig`."""
    return None if rig is None else {"rotations": rig.rotations.tolist(), "shots": [list(shot) for shot in rig.shots]}


def write_rig(rig: Mapping[str, Any], database: Path) -> None:
    """Tie the images of each moment together, in a database that has a camera for each view and no matches yet."""
    import pycolmap

    rotations = np.array(rig["rotations"])
    with pycolmap.Database.open(database) as opened:
        images = {image.name: image for image in opened.read_all_images()}
        sensors = [_sensor(images[name].camera_id) for name in rig["shots"][0]]
        opened.clear_frames()
        opened.clear_rigs()
        one = pycolmap.Rig(rig_id=1)
        one.add_ref_sensor(sensors[0])
        for sensor, rotation in zip(sensors[1:], rotations[1:], strict=True):
            of_first = pycolmap.Rotation3d(rotation @ rotations[0].T)
            one.add_sensor(sensor, pycolmap.Rigid3d(of_first, np.zeros(3)))
        opened.write_rig(one, use_rig_id=True)
        for number, shot in enumerate(rig["shots"], start=1):
            frame = pycolmap.Frame(frame_id=number, rig_id=1)
            for name in shot:
                frame.add_data_id(images[name].data_id)
            opened.write_frame(frame, use_frame_id=True)


def _sensor(camera_id: int) -> Any:
    import pycolmap

    return pycolmap.sensor_t(type=pycolmap.SensorType.CAMERA, id=camera_id)


def choose_rig_pairs(job: Mapping[str, Any], descriptors: list[Any]) -> list[tuple[int, int]]:
    """Pairs of places in name order, sorted; `descriptors`: (N, 128) of each image, in name order.

    Neighbouring views of moments that lie near each other in time, and images that look alike wherever they are.
    Never two of one moment, which share a place and tell nothing.
    """
    from reconstruction_pipeline.stages.poses import pairs

    rung, shots = job["rung"], job["rig"]["shots"]
    names = sorted(name for shot in shots for name in shot)
    place = {name: number for number, name in enumerate(names)}
    moment = {place[name]: number for number, shot in enumerate(shots) for name in shot}
    if rung["exhaustive"]:
        chosen = pairs.exhaustive_pairs(len(names))
    else:
        beside = neighbouring_views(np.array(job["rig"]["rotations"]))
        chosen = {
            _ordered(place[shots[i][a]], place[shots[j][b]])
            for i, j in pairs.sequential_pairs(len(shots), rung["overlap"])
            for a, b in beside
        }
        alike = pairs.signatures(descriptors, job["seed"])
        far = len(shots[0]) * (rung["overlap"] + 1)
        chosen |= pairs.similar_pairs(alike, max(1, rung["similar"] // 4), far)
    return sorted((a, b) for a, b in chosen if moment[a] != moment[b])


def neighbouring_views(rotations: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """All (view of one moment, view of another) that may see the same, each with itself among them."""
    axes = rotations[:, 2]
    near = axes @ axes.T >= np.cos(np.radians(NEIGHBOURING_DEG))
    return [(int(a), int(b)) for a, b in np.argwhere(near)]


def _ordered(a: int, b: int) -> tuple[int, int]:
    return min(a, b), max(a, b)


def hold_rig_globally(options: Any) -> None:
    """Of COLMAP's global mapper: neither the lens nor the rig is adjusted."""
    options.mapper.refine_sensor_from_rig = False
    adjustment = options.mapper.bundle_adjustment
    adjustment.refine_sensor_from_rig = adjustment.refine_focal_length = adjustment.refine_extra_params = False


def hold_rig(options: Any) -> None:
    """Of COLMAP's incremental mapper: neither the lens nor the rig is adjusted."""
    options.ba_refine_sensor_from_rig = False
    options.ba_refine_focal_length = options.ba_refine_extra_params = False
    options.mapper.abs_pose_refine_focal_length = options.mapper.abs_pose_refine_extra_params = False
