"""Poses against the truth of simulated captures: right within a tolerance, or refused; never wrong and accepted."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.colmap import read_model
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.stages.poses import PoseSettings, estimate_poses
from reconstruction_pipeline_tests.stages.poses import simulated
from reconstruction_pipeline_tests.stages.poses.simulated import TARGET, Rgb, Way, errors_of, film, true_poses
from reconstruction_pipeline_tests.stages.poses.test_estimate_poses import write_keyframes

COUNT = 24


def around(t: float) -> np.ndarray:
    """A closed loop in front of the furniture, 2 m wide."""
    turn = 2 * np.pi * t
    return np.array([-0.02 - np.cos(turn), -1.42 + 0.26 * np.sin(turn), -1.0 + 0.3 * np.sin(turn + 0.9)])


def wandering(t: float) -> np.ndarray:
    return TARGET + np.array([0.3 * np.sin(2 * np.pi * t), 0.1 * np.cos(2 * np.pi * t), 0.0])


LOOP = Way(around, wandering)
HALF_LOOP = Way(lambda t: around(0.5 * t), lambda t: wandering(0.5 * t))
FORWARD = Way(lambda t: np.array([0.1, -1.4, -1.9 + 1.9 * t]), lambda t: TARGET)
TURNING = Way(
    lambda t: np.array([0.0, -1.42, -1.2]), lambda t: np.array([0.9 * np.sin(2 * np.pi * t), -0.9 + 0.3 * t, 1.4])
)


@dataclass(frozen=True)
class Case:
    """`ate`, `rotation_deg` and `focal` (relative): what counts as right. `must`: "succeed", "refuse", "warn" (of what
    the focal length is worth, or refuse), or None where either will do.
    """

    way: Way
    ate: float = 0.005
    rotation_deg: float = 0.3
    focal: float = 0.01
    must: str | None = None

    def pictures(self, name: str) -> list[Rgb]:
        if name == "weak texture":
            return film(self.way, COUNT, simulated.faded(0.08))
        if name == "repetition":
            return film(self.way, COUNT, simulated.repainted(simulated.tile(48)))
        if name == "blur":
            return film(self.way, COUNT, blur=0.03)
        if name == "strong blur":
            return film(self.way, COUNT, blur=0.12)
        if name == "exposure change":
            return film(self.way, COUNT, gain=lambda t: float(1.15 * 2 ** (1.5 * np.sin(9 * t))))
        return film(self.way, COUNT)


CASES = {
    "loop": Case(LOOP, must="succeed"),
    "pure rotation": Case(TURNING, 0.0, 0.0, 0.0, must="refuse"),
    "forward motion": Case(FORWARD),
    "weak texture": Case(HALF_LOOP, 0.01),
    "repetition": Case(HALF_LOOP),
    "blur": Case(HALF_LOOP),
    "strong blur": Case(HALF_LOOP, 0.03, 1.5, 0.08, must="warn"),
    "exposure change": Case(HALF_LOOP, must="succeed"),
}
EVERY_CHANGE = ("loop",)


def attempt(name: str, folder: Path) -> CameraPoses | str:
    """Accepted poses, or why there are none."""
    case = CASES[name]
    keyframes = write_keyframes(folder / "keyframes", case.pictures(name))
    try:
        poses = estimate_poses(keyframes, PoseSettings(threads=2), folder / "poses")
    except StageFailed as refusal:
        return str(refusal)
    return poses if poses.verdict.ok else poses.verdict.sentence()


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in EVERY_CHANGE else pytest.mark.soak) for n in CASES])
def test_right_or_refused(name: str, tmp_path: Path) -> None:
    case, outcome = CASES[name], attempt(name, tmp_path)
    if isinstance(outcome, str):
        assert case.must != "succeed", outcome
        assert len(outcome) > 20
        print(f"{name} | refused: {outcome}")
        return
    errors = errors_of(outcome.model(), true_poses(case.way, COUNT))
    focal = outcome.metrics["focal_px"] / simulated.SIZE.focal_px - 1
    warned = [gate.name for gate in outcome.verdict.warnings]
    print(
        f"{name} | {outcome.metrics['registered']} of {COUNT} | {100 * errors.ate:.2f} % | {errors.rotation_deg:.2f} |"
        f" {100 * focal:+.2f} % | {100 * outcome.metrics['focal_deviation']:.2f} % | {', '.join(warned)}"
    )
    assert case.must != "refuse"
    assert errors.ate <= case.ate and errors.rotation_deg <= case.rotation_deg and abs(focal) <= case.focal
    if case.must == "warn":
        assert "focal_certain" in warned
    if case.must == "succeed":
        assert outcome.metrics["registered"] == COUNT
        up = np.mean(
            [i.rotation.T @ true_poses(case.way, COUNT)[i.name][0][:, 1] for i in outcome.model().images], axis=0
        )
        assert np.degrees(np.arccos(up[1] / np.linalg.norm(up))) < 2.0, "gravity is along +Y"


# pycolmap may abort its interpreter, so it draws its dataset in another one.
SYNTHESIZE = """
import sys, pycolmap
from pathlib import Path
folder = Path(sys.argv[1])
pycolmap.set_random_seed(3)
options = pycolmap.SyntheticDatasetOptions()
options.num_rigs, options.num_frames_per_rig, options.num_points3D = 1, 10, 700
options.num_points2D_without_point3D = 0
options.camera_params = [1280.0, 512.0, 384.0, 0.05]
model = pycolmap.synthesize_dataset(options)
(folder / "images").mkdir()
(folder / "sparse").mkdir()
pycolmap.synthesize_images(pycolmap.SyntheticImageOptions(), model, folder / "images")
model.write_binary(folder / "sparse")
"""


@pytest.mark.slow
@pytest.mark.soak
def test_pycolmaps_synthetic_dataset(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", SYNTHESIZE, str(tmp_path)], check=True, capture_output=True, timeout=300)
    drawn = read_model(tmp_path / "sparse")
    pictures = [np.asarray(Image.open(tmp_path / "images" / image.name).convert("RGB")) for image in drawn.images]
    keyframes = write_keyframes(tmp_path / "keyframes", pictures, ordered=False)
    poses = estimate_poses(keyframes, PoseSettings(threads=2), tmp_path / "poses")
    truth = {f"{i:05d}.jpg": (image.rotation, image.center) for i, image in enumerate(drawn.images)}
    errors = errors_of(poses.model(), truth)
    focal = poses.metrics["focal_px"] / 1280.0 - 1
    print(
        f"pycolmap's | {poses.metrics['registered']} of 10 | {100 * errors.ate:.2f} % | {errors.rotation_deg:.2f} |"
        f" {100 * focal:+.2f} % | {100 * poses.metrics['focal_deviation']:.2f} % |"
    )
    assert poses.metrics["registered"] == 10
    assert errors.ate <= 0.005 and errors.rotation_deg <= 0.3
    assert abs(focal) <= 0.01
