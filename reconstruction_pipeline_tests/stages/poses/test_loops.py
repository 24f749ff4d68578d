"""A long walk that returns to its start: the return is found among made descriptors, and the path closes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, read_model
from reconstruction_pipeline.stages.poses.masks import distort
from reconstruction_pipeline.stages.poses.pairs import loop_pairs, sequential_pairs, signatures
from reconstruction_pipeline_tests.stages.poses.simulated import errors_of

FRAMES, OVERLAP = 168, 5
CAMERA = Camera("SIMPLE_RADIAL", 800, 600, (640.0, 400.0, 300.0, 0.0))
NOISE_PX = 0.7


def gait(turn: float) -> tuple[np.ndarray, np.ndarray]:
    """World-to-camera rotation (3, 3) and centre (3,) of somebody who walks around a yard, looking at its walls."""
    center = np.array([6 * np.sin(turn), 0.1 * np.sin(30 * turn), 6 * np.cos(turn)])
    forward = np.array([np.sin(turn + 0.1 * np.sin(9 * turn)), 0.05, np.cos(turn + 0.1 * np.sin(9 * turn))])
    forward /= np.linalg.norm(forward)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward]), center


def turns(laps: float) -> npt.NDArray[np.float64]:
    """Where on the round each frame is."""
    return np.linspace(0, 2 * np.pi * laps, FRAMES)


class Yard:
    """Points on uneven walls around the yard, each with a descriptor that is a little different each time."""

    def __init__(self, count: int = 4500, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        around, radius = self._rng.uniform(0, 2 * np.pi, count), self._rng.uniform(8.0, 11.0, count)
        height = self._rng.uniform(-2.5, 2.5, count)
        self.xyz = np.column_stack([radius * np.sin(around), height, radius * np.cos(around)])
        self.descriptors = self._rng.gamma(0.6, 30, (count, 128))

    def seen(self, turn: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        """(N, 4) keypoints and (N, 128) descriptors of what the camera sees."""
        rotation, center = gait(turn)
        local = (self.xyz - center) @ rotation.T
        plane = local[:, :2] / np.where(local[:, 2:] > 0.5, local[:, 2:], 1.0)
        xy = distort(CAMERA, plane) + self._rng.normal(0, NOISE_PX, plane.shape)
        inside = (local[:, 2] > 0.5) & (local[:, 2] < 8) & (xy > 0).all(axis=1) & (xy < [800, 600]).all(axis=1)
        rows = np.flatnonzero(inside)
        keys = np.column_stack([xy[rows], np.full(len(rows), 3.0), np.zeros(len(rows))]).astype(np.float32)
        values = self.descriptors[rows] * self._rng.uniform(0.8, 1.25, (len(rows), 128))
        return keys, np.clip(values * 512 / np.linalg.norm(values, axis=1, keepdims=True), 0, 255).astype(np.uint8)


def test_the_return_is_looked_up_and_nothing_else() -> None:
    yard = Yard(2000)
    alike = signatures([yard.seen(turn)[1] for turn in turns(1.0)])
    pairs = loop_pairs(alike, OVERLAP)
    assert pairs and not pairs & sequential_pairs(FRAMES, OVERLAP)
    assert all(j - i > FRAMES - 30 for i, j in pairs), "only the end of the walk looks like its start"
    assert {i for i, _ in pairs} >= {0, 1, 2} and {j for _, j in pairs} >= {FRAMES - 1, FRAMES - 2, FRAMES - 3}
    assert loop_pairs(signatures([yard.seen(turn)[1] for turn in turns(0.7)]), OVERLAP) == set(), "no return, no pairs"


def test_a_place_passed_backwards_is_found_too() -> None:
    yard = Yard(2000)
    there = turns(0.5)[: FRAMES // 2]
    alike = signatures([yard.seen(turn)[1] for turn in np.concatenate([there, there[::-1]])])
    pairs = loop_pairs(alike, OVERLAP)
    # Views up to a dozen steps apart share a part of the wall.
    assert len(pairs) > 50 and all(abs(i + j - FRAMES) < 14 for i, j in pairs)


def test_short_videos_have_no_returns() -> None:
    assert loop_pairs(np.eye(20, dtype=np.float32), OVERLAP) == set()


# The worker, with features as made above in the place of extraction, and with or without looking for returns.
SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np, pycolmap
from reconstruction_pipeline.stages.poses import colmap_worker, matching, pairs
from reconstruction_pipeline.stages.poses.numbering import number_by_name

job = json.loads(Path(sys.argv[1]).read_text())
made = np.load(job["made"])

def extract(job, database):
    names = job["groups"][0]["names"]
    with pycolmap.Database.open(database):
        pass
    reader = pycolmap.ImageReaderOptions(camera_model="SIMPLE_RADIAL")
    pycolmap.import_images(database, job["images"], pycolmap.CameraMode.SINGLE, names, reader)
    number_by_name(database)
    with pycolmap.Database.open(database) as opened:
        for image in opened.read_all_images():
            opened.write_keypoints(image.image_id, made[image.name + "/keys"])
            data = made[image.name + "/descriptors"]
            kind = pycolmap.FeatureExtractorType.SIFT
            opened.write_descriptors(image.image_id, pycolmap.FeatureDescriptors(type=kind, data=data))

class Silent:
    def send(self, *args, **values):
        pass

colmap_worker.extract = extract
if not job["returns"]:
    pairs.loop_pairs = pairs.similar_pairs = lambda *args: set()
print(json.dumps(colmap_worker.map_images(job, Silent())))
"""


@pytest.mark.slow
@pytest.mark.soak
def test_a_walk_that_returns_closes(tmp_path: Path) -> None:
    """Between the first and the last view, half a step apart, drift leaves a gap; the return takes it away."""
    yard, where = Yard(), turns(1.0)
    names = [f"{k:05d}.jpg" for k in range(FRAMES)]
    (tmp_path / "images").mkdir()
    made: dict[str, Any] = {}
    for name, turn in zip(names, where, strict=True):
        Image.new("L", (CAMERA.width, CAMERA.height), 90).save(tmp_path / "images" / name)
        made[f"{name}/keys"], made[f"{name}/descriptors"] = yard.seen(turn)
    np.savez(tmp_path / "made.npz", **made)
    truth = {name: gait(turn) for name, turn in zip(names, where, strict=True)}
    found = {returns: walked(tmp_path, names, returns) for returns in (False, True)}
    errors = {returns: errors_of(model, truth) for returns, model in found.items()}
    print(errors, {returns: gap(model) for returns, model in found.items()})
    assert len(found[True].images) == FRAMES
    assert errors[True].ate < 0.002
    assert errors[True].ate < errors[False].ate
    assert gap(found[True]) < 0.2 * gap(found[False])


def gap(model: ColmapModel) -> float:
    """Distance of the last camera from the first, which are in one place, over the radius of the round."""
    centers = model.centers
    return float(
        np.linalg.norm(centers[-1] - centers[0]) / np.linalg.norm(centers - centers.mean(axis=0), axis=1).mean()
    )


def walked(folder: Path, names: list[str], returns: bool) -> ColmapModel:
    from dataclasses import asdict

    from reconstruction_pipeline.stages.poses.rungs import ladder
    from reconstruction_pipeline.stages.poses.settings import PoseSettings

    work = folder / f"returns-{returns}"
    work.mkdir()
    job = {
        "made": str(folder / "made.npz"),
        "returns": returns,
        "work": str(work),
        "images": str(folder / "images"),
        "groups": [{"names": names, "camera_params": [], "longest_side": CAMERA.width}],
        "ordered": True,
        "camera_model": "SIMPLE_RADIAL",
        "threads": 2,
        "seed": 0,
        "time_limit_s": 900,
        "focal_range": [0.4, 3.0],
        "reuse": None,
        "rung": asdict(ladder(PoseSettings(), True)[0]),
    }
    path = work / "job.json"
    path.write_text(json.dumps(job))
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    print(returns, result["cpu_s"], result["pairs"], [(m["registered"], m["points"]) for m in result["models"]])
    return read_model(Path(max(result["models"], key=lambda m: m["registered"])["path"]))
