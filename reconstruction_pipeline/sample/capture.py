"""Makes the sample: builds and lights the room, films it, writes the truth; once, then from the cache."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.progress import NullProgress, Progress
from reconstruction_pipeline.sample import truth
from reconstruction_pipeline.sample.threads import in_order
from reconstruction_pipeline.sample.variants import SEED, VERSION, Variant, VariantName, variant

_BAKE_UNITS = 60  # the bake takes about as long as this many frames of the demo


def make_sample(
    cache_dir: Path, variant_name: VariantName = "demo", progress: Progress | None = None
) -> truth.SampleCapture:
    """The sample of that variant, from `cache_dir` or made now (see `VARIANTS` for its size).

    The folder is written beside its final place and renamed, so a cached sample is always whole; two processes may
    make it at once, and the first to finish wins. A damaged copy is replaced. `progress` may cancel between frames.
    """
    settings = variant(variant_name)
    folder = Path(cache_dir) / f"sample-v{VERSION}-s{SEED}-{settings.name}"
    if folder.exists():
        try:
            return truth.SampleCapture.load(folder)
        except InvalidArtifact:
            shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".sample-", dir=folder.parent))
    try:
        film(draft, settings, SEED, progress or NullProgress())
        try:
            draft.chmod(0o755)  # mkdtemp's own mode would shut others out of a shared cache
            draft.rename(folder)
        except OSError:  # another process was first; its copy is the same
            if not folder.exists():
                raise
        return truth.SampleCapture.load(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def film(folder: Path, settings: Variant, seed: int, progress: Progress) -> None:
    """Writes video, truth, meshes and summary of one sample into `folder`."""
    from reconstruction_pipeline.sample.encode import write_video
    from reconstruction_pipeline.sample.measure import BlurMeter
    from reconstruction_pipeline.sample.mesh import write_meshes
    from reconstruction_pipeline.sample.path import camera_path
    from reconstruction_pipeline.sample.render.bake import bake_room
    from reconstruction_pipeline.sample.render.frame import Renderer
    from reconstruction_pipeline.sample.scene import build_scene
    from reconstruction_pipeline.sample.scene.room import LIGHTS
    from reconstruction_pipeline.sample.sensor import develop, exposure

    total = settings.frames + _BAKE_UNITS
    room = bake_room(
        build_scene(seed),
        LIGHTS,
        settings,
        seed,
        lambda done: progress.report("sample", done * _BAKE_UNITS, total, "lighting the room"),
    )
    path = camera_path(settings, seed)
    times = np.arange(settings.frames) / settings.fps
    gains = np.array([exposure(settings, time) for time in times])
    digest = hashlib.sha256()
    own = threading.local()

    def picture(index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        if not hasattr(own, "renderer"):
            own.renderer, own.meter = Renderer(room.triangles, settings), BlurMeter(room.triangles, path, settings)
        light = own.renderer.frame(room.atlas, path, times[index])
        return develop(light, gains[index], seed, index), own.meter.lengths(times[index])

    blur = []

    def frames() -> Iterator[NDArray[np.uint8]]:
        for index, (image, lengths) in enumerate(in_order(picture, len(times))):
            progress.report("sample", _BAKE_UNITS + index, total, "filming")
            digest.update(image.tobytes())
            blur.append(lengths)
            yield image

    write_video(folder / truth.VIDEO, frames(), settings)
    write_meshes(room, folder / truth.MESH_PLY, folder / truth.MESH_GLB)
    poses = [path.pose(time) for time in times]
    np.savez_compressed(
        folder / truth.TRUTH,
        timestamps=times,
        rotations=np.stack([rotation for rotation, _ in poses]),
        translations=np.stack([translation for _, translation in poses]),
        exposures=gains,
        blur_px=np.array([np.percentile(lengths, 90) for lengths in blur]),
        vertices=room.triangles.vertices,
        faces=room.triangles.faces,
    )
    summary = _summary(settings, seed, path.extent(times), gains, np.concatenate(blur)) | {
        "frames_sha256": digest.hexdigest()
    }
    (folder / truth.SUMMARY).write_text(json.dumps(summary, indent=2) + "\n")
    progress.report("sample", total, total, "done")


def _summary(
    settings: Variant, seed: int, extent: float, gains: NDArray[np.float64], blur: NDArray[np.float32]
) -> dict[str, Any]:
    focal = settings.focal_px
    camera = truth.Intrinsics(settings.width, settings.height, focal, focal, settings.width / 2, settings.height / 2)
    return {
        "version": VERSION,
        "seed": seed,
        "variant": settings.name,
        "fps": settings.fps,
        "frames": settings.frames,
        "shutter_s": settings.shutter_s,
        "intrinsics": asdict(camera),
        "path_extent_m": extent,
        "blur_px_median": float(np.median(blur)),
        "blur_px_p90": float(np.percentile(blur, 90)),
        "exposure_min": float(gains.min() / gains.mean()),
        "exposure_max": float(gains.max() / gains.mean()),
    }
