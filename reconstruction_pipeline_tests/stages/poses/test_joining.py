"""Sub-models of one capture: joined when they are one, kept apart when they are not, and named in either case."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import read_model, write_model
from reconstruction_pipeline.orchestration.gates import CAMERA_POSES
from reconstruction_pipeline.stages.poses.candidates import Candidate, best_of, left_behind
from reconstruction_pipeline.stages.poses.doubts import external_gate, one_piece_gate
from reconstruction_pipeline.stages.poses.folds import FoldEvidence
from reconstruction_pipeline.stages.poses.geometry import drop_images
from reconstruction_pipeline.stages.poses.joining import seam_share
from reconstruction_pipeline_tests.stages.poses.simulated import errors_of
from reconstruction_pipeline_tests.stages.poses.test_folds import matched, orbit, replaced

# pycolmap may abort its interpreter, so it works in another one: a synthetic capture of 16 images in two parts, of
# which the second lies in a world of its own; then the same with the second part's points in disorder.
SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np, pycolmap
from PIL import Image
from reconstruction_pipeline.stages.poses.joining import join_parts

folder = Path(sys.argv[1])
pycolmap.set_random_seed(1)
options = pycolmap.SyntheticDatasetOptions()
options.num_rigs, options.num_frames_per_rig, options.num_points3D = 1, 16, 300
noise = pycolmap.SyntheticNoiseOptions()
noise.point2D_stddev = 0.5
with pycolmap.Database.open(folder / "database.db") as database:
    truth = pycolmap.synthesize_dataset(options, database)
    pycolmap.synthesize_noise(noise, truth, database)
ids = sorted(truth.reg_image_ids())
(folder / "images").mkdir()
for number in ids:
    Image.new("RGB", (1024, 768)).save(folder / "images" / truth.image(number).name)

def part(of):
    model = pycolmap.Reconstruction(truth)
    for number in set(ids) - set(of):
        model.deregister_frame(model.image(number).frame_id)
    return model

first, second, broken = part(ids[:9]), part(ids[9:]), part(ids[9:])
away = pycolmap.Sim3d(2.7, pycolmap.Rotation3d(np.array([0.1, 0.5, -0.3, 0.8]) / 0.995), np.array([3.0, -1.0, 7.0]))
for model in (second, broken):
    model.transform(away)
points = sorted(broken.point3D_ids())
xyz = [broken.point3D(number).xyz.copy() for number in points]
for number, other in zip(points, np.random.default_rng(0).permutation(len(points))):
    broken.points3D[number].xyz = xyz[other]
said = {"names": [truth.image(number).name for number in ids]}
truth.write_binary(folder)
for name, other in (("apart", broken), ("joined", second)):
    work = folder / name
    work.mkdir()
    job = {"work": str(work), "images": str(folder / "images"), "seed": 0, "threads": 1}
    said[name] = join_parts(job, folder / "database.db", [other, first])
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("parts")
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(folder)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    return {**json.loads(done.stdout.splitlines()[-1]), "folder": folder}


@pytest.mark.slow
def test_two_parts_of_one_capture_become_one(said: dict[str, Any]) -> None:
    (model,), (record,) = said["joined"]
    assert model["registered"] == 16
    assert record["joined"] and record["why"] == "" and record["onto"] == 9
    assert record["images"] == sorted(said["names"][9:])
    assert record["inliers"] > 0.9 * record["links"] > 200
    whole, truth = read_model(Path(model["path"])), read_model(said["folder"])
    errors = errors_of(whole, {image.name: (image.rotation, image.center) for image in truth.images})
    assert errors.ate < 0.002 and errors.rotation_deg < 0.1
    assert whole.errors.mean() < 1.0 and whole.track_lengths.mean() > 8, "tracks reach over the seam"


@pytest.mark.slow
def test_parts_that_do_not_fit_stay_apart(said: dict[str, Any]) -> None:
    models, (record,) = said["apart"]
    assert models == []
    assert not record["joined"] and "too few" in record["why"] and record["links"] > 200


def candidate(folder: Path, images: list[int]) -> dict[str, Any]:
    model = orbit()
    kept = drop_images(model, [image.name for k, image in enumerate(model.images) if k not in images])
    write_model(folder, kept)
    return {"path": str(folder), "registered": len(kept.images), "points": len(kept.xyz)}


def test_images_of_other_parts_are_named(tmp_path: Path) -> None:
    first, second = candidate(tmp_path / "a", list(range(15))), candidate(tmp_path / "b", list(range(13, 24)))
    small = candidate(tmp_path / "c", [0, 1])
    best = Candidate(tmp_path / "a", read_model(tmp_path / "a"), FoldEvidence(0, (), 0, (), ()), 0, "quick", "x", True)
    left = left_behind(best, {"models": [small, second, first]})
    assert left == [[f"{k:03d}.jpg" for k in range(15, 24)]]
    gate = one_piece_gate([], left)
    assert not gate.passed and gate.severity == "warn" and gate.advice
    assert "9 images" in gate.message and "015.jpg" in gate.message
    joined = one_piece_gate([{"images": ["015.jpg"], "inliers": 40}], [])
    assert joined.passed and "015.jpg" in joined.message and "40 points" in joined.message
    assert {gate.name, external_gate("x").name} <= {name for name, _ in CAMERA_POSES}


def test_the_best_part_is_chosen_by_evidence_and_not_by_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest part contradicts its matches, the next has no points to speak of, the third is right."""
    models = [
        candidate(tmp_path / name, images)
        for name, images in (("small", [0, 1, 2]), ("good", list(range(12))), ("folded", list(range(20))))
    ]
    folded = {"folded": True, "good": False, "small": False}

    def weighed(folder: Path, database: Path, images: int, level: int, rung: str, mapper: str) -> Candidate:
        broken = tuple((f"{k}", f"{k + 1}") for k in range(5)) if folded[folder.name] else ()
        evidence = FoldEvidence(20, broken, 0, (), ())
        return Candidate(folder, read_model(folder), evidence, level, rung, mapper, folder.name != "small")

    monkeypatch.setattr("reconstruction_pipeline.stages.poses.candidates.weigh", weighed)
    best = best_of({"models": models, "database": "none"}, 24, 0, "quick", "incremental")
    assert best is not None and best.folder.name == "good"
    folded["good"] = True
    best = best_of({"models": models, "database": "none"}, 24, 0, "quick", "incremental")
    assert best is not None and best.folder.name == "small", "right before large"
    assert best_of({"models": [], "database": "none"}, 24, 0, "quick", "incremental") is None


def test_matches_across_the_seam_are_weighed() -> None:
    model = orbit()
    graph = matched(model)
    ours, theirs = {f"{k:03d}.jpg" for k in range(12)}, {f"{k:03d}.jpg" for k in range(12, 24)}
    share = seam_share(model, graph, ours, theirs)
    assert share is not None and share > 0.95
    moved = replaced(model, dict.fromkeys(range(12, 24), 40.0))
    share = seam_share(moved, graph, ours, theirs)
    assert share is not None and share < 0.5
    assert seam_share(model, graph, ours, ours) is None
    assert np.isfinite(share)
