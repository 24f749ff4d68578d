"""The one picture that stands for a scene: what was made of it, or what was filmed when nothing was made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from reconstruction_pipeline.artifacts import CameraPoses, GaussianSplats, Keyframes
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.report.inputs import ReportInputs
from reconstruction_pipeline.report.pictures import opened

if TYPE_CHECKING:
    from PIL import Image

LONGEST_PX = 560
MOST_TRIES = 5


def cover_of(inputs: ReportInputs) -> Image.Image | None:
    """The render of the held-out view that shows most of the scene, else a keyframe; None without either.

    At most `LONGEST_PX` on its longer side. A file that cannot be read is passed over: the sections say so.
    """
    for candidates in (_renders(inputs), _keyframes(inputs)):
        try:
            for _, (path, aspect) in zip(range(MOST_TRIES), candidates, strict=False):
                try:
                    return _part(path, aspect)
                except OSError:
                    continue
        except (OSError, ValueError, KeyError, InvalidArtifact):
            continue
    return None


def _part(path: Path, aspect: float | None) -> Image.Image:
    """The second of the pictures of that aspect (width / height) side by side in a file, or the only one."""
    image = opened(path, LONGEST_PX if aspect is None else 3 * LONGEST_PX)
    if aspect is not None:
        width = image.width / max(1, round(image.width / (image.height * aspect)))
        if width < image.width:
            image = image.crop((round(width), 0, round(2 * width), image.height))
    image.thumbnail((LONGEST_PX, LONGEST_PX))
    return image


def _renders(inputs: ReportInputs) -> Iterator[tuple[Path, float | None]]:
    """Comparisons (photograph, render, perhaps an error map, side by side), the most telling view first."""
    splats, poses = inputs.artifacts.get("gaussian_splats"), inputs.artifacts.get("camera_poses")
    if not isinstance(splats, GaussianSplats) or not splats.path("comparisons").is_dir():
        return
    files = sorted(splats.path("comparisons").glob("*.jpg"))
    aspects: dict[str, float] = {}
    if isinstance(poses, CameraPoses):
        from reconstruction_pipeline.viewer.camera_path import view_scores

        model = poses.model()
        stems = [Path(image.name.replace("/", "_")).stem for image in model.images]
        cameras = [model.cameras[image.camera_id] for image in model.images]
        aspects = {stem: camera.width / camera.height for stem, camera in zip(stems, cameras, strict=True)}
        scores = dict(zip(stems, view_scores(model), strict=True))
        files.sort(key=lambda path: -scores.get(path.stem, 0.0))
    for path in files:
        if path.stem in aspects:
            yield path, aspects[path.stem]


def _keyframes(inputs: ReportInputs) -> Iterator[tuple[Path, float | None]]:
    """From the middle of the capture to its end."""
    frames = inputs.artifacts.get("keyframes")
    if isinstance(frames, Keyframes):
        names = list(frames.table()["name"])
        for name in names[len(names) // 2 :]:
            yield frames.path("images", name), None
