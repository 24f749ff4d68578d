"""Depth beside the pictures it belongs to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from reconstruction_pipeline.artifacts import CameraPoses, DepthMaps
from reconstruction_pipeline.report.inputs import ReportInputs
from reconstruction_pipeline.report.pictures import Picture, encode, opened, spread
from reconstruction_pipeline.report.section import Section
from reconstruction_pipeline.report.sections.pieces import facts_of, previews

MOST_VIEWS = 6
LONGEST_PX = 420
# Far to near, RGB: cool to warm in steps of even lightness contrast.
COLOURS = np.array([(38, 46, 140), (38, 150, 205), (110, 205, 120), (247, 190, 60), (190, 40, 25)], float)


def depth_maps(inputs: ReportInputs) -> Section | None:
    """A few images with their depth; the stage's own previews where the images are not at hand."""
    artifact, poses = inputs.artifacts.get("depth_maps"), inputs.artifacts.get("camera_poses")
    if not isinstance(artifact, DepthMaps):
        return None
    section = Section("depth-maps", "Depth", layout="small")

    def pairs() -> None:
        names = [n for n in artifact.names() if isinstance(poses, CameraPoses) and poses.image_path(n).is_file()]
        if not names or not isinstance(poses, CameraPoses):
            section.pictures += previews(artifact, "Depth maps")
            return
        section.pictures += [_pair(artifact, poses, name) for name in spread(names, MOST_VIEWS)]
        section.lead = (
            "How far every part of the picture is, measured between the images: near is red, far is blue, "
            "and grey is where no depth is known."
        )

    section.attempt("The depth maps", pairs)
    names = ("images", "coverage", "sparse_within_5_percent", "median_relative_error_to_sparse")
    section.facts = facts_of(artifact, names)
    return section


def _pair(artifact: DepthMaps, poses: CameraPoses, name: str) -> Picture:
    image = opened(poses.image_path(name), LONGEST_PX)
    depth = Image.fromarray(colourise(artifact.load(name).depth)).resize(image.size, Image.Resampling.BILINEAR)
    pair = Image.new("RGB", (2 * image.width + 4, image.height), (128, 128, 128))
    pair.paste(image, (0, 0))
    pair.paste(depth, (image.width + 4, 0))
    stem = name.rsplit(".", 1)[0]
    return encode(pair, f"Image {stem} and its depth, side by side", stem)


def colourise(depth: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """(h, w, 3) RGB of the inverse depth (h, w) between its 2nd and 98th percentile; grey where it is 0 (unknown)."""
    known = depth > 0
    if not known.any():
        return np.full((*depth.shape, 3), 128, np.uint8)
    inverse = 1.0 / np.where(known, depth, 1.0)
    low, high = np.percentile(inverse[known], [2, 98])
    level = np.clip((inverse - low) / max(high - low, 1e-12), 0, 1) * (len(COLOURS) - 1)
    channels = [np.interp(level, np.arange(len(COLOURS)), COLOURS[:, k]) for k in range(3)]
    return np.where(known[..., None], np.stack(channels, axis=-1), 128).astype(np.uint8)
