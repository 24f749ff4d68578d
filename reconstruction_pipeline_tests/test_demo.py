"""The promise of the README, kept: the sample video, end to end, against its own ground truth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.transform import SimilarityTransform

from reconstruction_pipeline.artifacts import CameraPoses, Keyframes
from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.sample import Frames, make_sample
from reconstruction_pipeline.sample.variants import variant

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

DELIVERED = {
    "scene.ply",
    "scene.sog",
    "mesh.glb",
    "mesh.ply",
    "mesh.obj",
    "colmap",
    "transforms.json",
    "viewer.html",
    "report.html",
    "metrics.json",
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The storage root after `reconstruct demo`, run as a user runs it."""
    storage = tmp_path_factory.mktemp("demo") / "storage"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RECONSTRUCTION_", "DAGSTER_"))}
    environment["RECONSTRUCTION_STORAGE"] = str(storage)
    done = subprocess.run(
        [sys.executable, "-m", "reconstruction_pipeline.cli", "demo"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert "viewer.html" in done.stdout
    assert "Warning" not in done.stdout + done.stderr
    return storage


@pytest.fixture(scope="module")
def metrics(demo: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((demo / "deliverables" / "demo" / "metrics.json").read_text())
    return found


def poses_and_truth(demo: Path) -> tuple[ColmapModel, Frames, np.ndarray]:
    """The reconstructed cameras, the sample's, and for each of the first the index of its frame."""
    store = ArtifactStore(demo, demo / ".scratch")
    table = store.load(Keyframes, "demo").table().set_index("name")
    model = store.load(CameraPoses, "demo").model()
    truth = make_sample(demo / ".scratch" / "sample").frames
    times = table.loc[[image.name for image in model.images], "timestamp_s"].to_numpy()
    nearest = np.abs(truth.timestamps[None] - times[:, None]).argmin(axis=1)
    assert np.allclose(truth.timestamps[nearest], times, atol=1e-3)
    return model, truth, nearest


def test_everything_is_delivered_and_good(demo: Path, metrics: dict[str, Any]) -> None:
    assert {path.name for path in (demo / "deliverables" / "demo").iterdir()} >= DELIVERED
    assert metrics["grade"] in ("A", "B"), metrics["warnings"]
    assert metrics["gaussian_splats"]["psnr_holdout_db"] >= 26
    assert metrics["compressed_splats"]["sog_psnr_loss_db"] <= 0.3
    assert metrics["mesh"]["faces"] > 10_000
    for stage in ("keyframes", "camera_poses", "depth_maps", "gaussian_splats", "mesh", "compressed_splats"):
        assert {"seconds", "peak_rss_mb", "backend", "fallback_level"} <= metrics[stage].keys()


def test_every_camera_is_where_it_was(demo: Path, metrics: dict[str, Any]) -> None:
    """All registered; after a similarity within 0.5 % of the path's extent and 0.3 degrees; the focal length in 1 %."""
    numbers = metrics["camera_poses"]
    assert numbers["registered"] == numbers["images"]
    model, truth, nearest = poses_and_truth(demo)
    wanted = truth.centers[nearest]
    fit = SimilarityTransform.from_estimate(model.centers, wanted)
    error = np.linalg.norm(fit(model.centers) - wanted, axis=1)
    extent = np.linalg.norm(np.ptp(wanted, axis=0))
    assert np.sqrt(np.mean(error**2)) <= 0.005 * extent
    # The rotations that take our world to the truth's, by each image: one and the same, were all of them right.
    between = np.array([truth.rotations[f].T @ i.rotation for i, f in zip(model.images, nearest, strict=True)])
    left, _, right = np.linalg.svd(between.mean(axis=0))
    cosines = (np.einsum("ij,nij->n", left @ right, between) - 1) / 2
    assert np.median(np.degrees(np.arccos(np.clip(cosines, -1, 1)))) <= 0.3
    width = ArtifactStore(demo, demo / ".scratch").load(Keyframes, "demo").camera()["width"]
    assert numbers["focal_px"] == pytest.approx(variant("demo").focal_px * width / variant("demo").width, rel=0.01)


def test_the_world_is_upright(demo: Path) -> None:
    """Gravity along +Y: the truth's own down, seen from the reconstructed world, within five degrees."""
    model, truth, nearest = poses_and_truth(demo)
    down = np.mean(
        [i.rotation.T @ truth.rotations[f] @ [0, 1, 0] for i, f in zip(model.images, nearest, strict=True)], axis=0
    )
    assert down[1] / np.linalg.norm(down) > np.cos(np.radians(5))
