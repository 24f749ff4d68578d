"""Depth and mesh of the sample against its truth, stage by stage, with time and memory.

    python -m benchmarks geometry [--quick]

The stages run as in preset `balanced` (with --quick `fastest`), each in a process of its own. The estimated cameras
are laid on the true ones by a similarity; all errors are in the true scene's metres, or relative.

depth: of every pixel with confidence, its point in the true keyframe's camera against the true depth there.
mesh: F-score at 1 % of the seen region's diagonal. Points are spread evenly over the area of both surfaces; those that
distances are measured to are five times as many as those they are measured from. Of the true ones those count that at
least two keyframes show (recall); of ours those that lie where at least two keyframes look, up to just behind the true
surface (precision). Normals are compared at the points that are near.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
STAGES = ("keyframes", "poses", "depth", "splats", "mesh")
POINTS = 200_000
"""Spread over a surface to ask how far the other one is from them."""
REFERENCE_POINTS = 1_000_000
"""That stand for the other one: so many that the nearest is hardly farther than the surface."""
# Share of the seen region's diagonal within which surfaces agree.
REACH = 0.01
# A point is shown by a view when its depth is the true depth there to within this share.
SHOWN = 0.01
TARGETS = {"depth median": 0.02, "depth 90th": 0.10, "covered": 0.60, "F": 0.80, "normals": 15.0}


class Similarity(NamedTuple):
    """x -> scale * x @ rotation.T + shift."""

    scale: float
    rotation: Floats
    shift: Floats

    def __call__(self, points: Floats) -> Floats:
        """Points (N, 3), moved."""
        return np.asarray(self.scale * points @ self.rotation.T + self.shift)

    @classmethod
    def of(cls, source: Floats, target: Floats) -> Similarity:
        """Least squares (Umeyama 1991) of (N, 3) onto (N, 3)."""
        a, b = source - source.mean(axis=0), target - target.mean(axis=0)
        u, s, vt = np.linalg.svd(b.T @ a)
        signs = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        rotation = u @ signs @ vt
        scale = float((s * np.diag(signs)).sum() / (a**2).sum())
        return cls(scale, rotation, target.mean(axis=0) - scale * source.mean(axis=0) @ rotation.T)


def main(quick: bool = False, folder: Path | None = None, preset: str | None = None) -> None:
    """Print the table; `folder` keeps (and takes up) what the stages make."""
    preset = preset or ("fastest" if quick else "balanced")
    with tempfile.TemporaryDirectory(prefix="geometry-bench-") as scratch:
        at = folder or Path(scratch)
        costs = {}
        for stage in STAGES:
            if not (at / stage / "done.json").exists():
                print(f"geometry: {stage}", file=sys.stderr, flush=True)
                command = [sys.executable, "-m", "benchmarks.geometry_stage", stage, preset, str(at)]
                subprocess.run(command, check=True, stdout=sys.stderr)
            costs[stage] = json.loads((at / stage / "done.json").read_text())
        _print(preset, costs, measure(at))


def measure(at: Path) -> dict[str, float]:
    """The errors of what the stages left in `at`."""
    from reconstruction_pipeline.artifacts import CameraPoses, DepthMaps
    from reconstruction_pipeline.artifacts.keyframes import Keyframes
    from reconstruction_pipeline.sample import make_sample

    sample = make_sample(at / "sample", "demo")
    poses = CameraPoses(at / "poses")
    model = poses.model()
    frame_of = Keyframes(at / "keyframes").table().set_index("name")["frame"]
    frames = {image.name: int(frame_of[image.name]) for image in model.images}
    index = list(frames.values())
    to_truth = Similarity.of(model.centers, sample.frames.centers[index])
    truth = {i: sample.depth(i).astype(np.float64) for i in index}
    numbers = _depth_errors(poses, DepthMaps(at / "depth"), sample, truth, frames, to_truth)
    return numbers | _mesh_errors(at, sample, truth, index, to_truth)


def _project(sample: Any, frame: int, points: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """(row, column, z) of points (N, 3) in the true camera of a frame; row -1 where they are not in the picture."""
    k = sample.intrinsics
    local = points @ sample.frames.rotations[frame].T + sample.frames.translations[frame]
    z = np.where(local[:, 2] > 1e-6, local[:, 2], np.inf)
    column = np.floor(k.fx * local[:, 0] / z + k.cx).astype(np.int64)
    row = np.floor(k.fy * local[:, 1] / z + k.cy).astype(np.int64)
    inside = (z < np.inf) & (column >= 0) & (row >= 0) & (column < k.width) & (row < k.height)
    return np.where(inside, row, -1), np.where(inside, column, 0), z


def _depth_errors(
    poses: Any, depths: Any, sample: Any, truth: dict[int, Floats], frames: dict[str, int], to_truth: Similarity
) -> dict[str, float]:
    from reconstruction_pipeline.artifacts.views import fit, pinhole_view

    errors, covered, pixels = [], 0, 0
    images = {image.name: image for image in poses.model().images}
    for name in depths.names():
        depth, confidence = depths.load(name)
        view = fit(pinhole_view(poses.model(), images[name]), max(depth.shape))
        known = (depth > 0) & (confidence > 0)
        rows, columns = np.nonzero(known)
        z = depth[rows, columns].astype(np.float64)
        local = np.column_stack(
            [(columns + 0.5 - view.cx) / view.fx * z, (rows + 0.5 - view.cy) / view.fy * z, z]
        )  # fmt: skip
        row, column, found = _project(sample, frames[name], to_truth(local @ view.rotation + view.center))
        there = row >= 0
        true = truth[frames[name]][row[there], column[there]]
        errors.append(np.abs(found[there] - true)[true > 0] / true[true > 0])
        covered, pixels = covered + int(known.sum()), pixels + known.size
    every = np.concatenate(errors)
    return {
        "depth median": float(np.median(every)),
        "depth 90th": float(np.percentile(every, 90)),
        "covered": covered / pixels,
    }


def _mesh_errors(
    at: Path, sample: Any, truth: dict[int, Floats], index: list[int], to_truth: Similarity
) -> dict[str, float]:
    import trimesh
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(0)
    true = trimesh.load_mesh(sample.mesh_path, process=False)
    ours = trimesh.load_mesh(at / "mesh" / "mesh.ply", process=False)
    true_points, true_normals = _spread(np.asarray(true.vertices), np.asarray(true.faces), rng)
    points, normals = _spread(to_truth(np.asarray(ours.vertices)), np.asarray(ours.faces), rng)
    # The points are in random order: the first of them are spread as evenly as all.
    target = true_points[:POINTS]
    target = target[_views_of(sample, truth, index, target, behind=SHOWN, before=SHOWN) >= 2]
    reach = REACH * float(np.linalg.norm(np.ptp(target, axis=0)))
    inside = _views_of(sample, truth, index, points, behind=2 * SHOWN, before=np.inf) >= 2
    recall = float(np.mean(cKDTree(points[inside]).query(target)[0] < reach))
    points, normals = points[:POINTS][inside[:POINTS]], normals[:POINTS][inside[:POINTS]]
    far, nearest = cKDTree(true_points).query(points)
    precision = float(np.mean(far < reach))
    cosine = np.sum(normals * true_normals[nearest], axis=1)[far < reach]
    return {
        "reach": reach,
        "precision": precision,
        "recall": recall,
        "F": 2 * precision * recall / max(precision + recall, 1e-9),
        "normals": float(np.degrees(np.median(np.arccos(np.clip(np.abs(cosine), 0, 1))))),
    }


def _spread(vertices: Floats, faces: npt.NDArray[np.int64], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """REFERENCE_POINTS points evenly over the area, in random order, and the normals of their faces."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    double = np.linalg.norm(normal, axis=1)
    face = rng.choice(len(faces), REFERENCE_POINTS, p=double / double.sum())
    u, v = rng.random((2, REFERENCE_POINTS, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    at = a[face] + u * (b - a)[face] + v * (c - a)[face]
    return at, normal[face] / np.maximum(double[face], 1e-12)[:, None]


def _views_of(
    sample: Any, truth: dict[int, Floats], index: list[int], points: Floats, behind: float, before: float
) -> npt.NDArray[np.int64]:
    """In how many keyframes a point lies within these shares of the true depth, `behind` it or `before` it."""
    count = np.zeros(len(points), np.int64)
    for i in index:
        row, column, z = _project(sample, i, points)
        depth = truth[i][np.maximum(row, 0), column]
        count += (row >= 0) & (depth > 0) & (z < depth * (1 + behind)) & (z > depth * (1 - before))
    return count


def _print(preset: str, costs: dict[str, dict[str, float]], numbers: dict[str, float]) -> None:
    print(f"## Geometry of the sample, preset {preset}\n")
    print("| | measured | target |\n|---|---|---|")
    n, t = numbers, TARGETS
    print(f"| depth, relative error, median | {n['depth median']:.2%} | {t['depth median']:.0%} |")
    print(f"| depth, relative error, 90th percentile | {n['depth 90th']:.2%} | {t['depth 90th']:.0%} |")
    print(f"| depth, pixels covered | {n['covered']:.1%} | {t['covered']:.0%} |")
    print(f"| mesh, F-score within {1000 * n['reach']:.0f} mm | {n['F']:.3f} | {t['F']:.2f} |")
    print(f"| mesh, precision; recall | {n['precision']:.3f}; {n['recall']:.3f} | |")
    print(f"| mesh, normals, median angle | {n['normals']:.1f} deg | {t['normals']:.0f} deg |\n")
    print("| stage | seconds | CPU | peak MB |\n|---|---|---|---|")
    for stage, cost in costs.items():
        print(f"| {stage} | {cost['seconds']:.1f} | {cost['cpu']:.1f} | {cost['peak_mb']:.0f} |")
    print(flush=True)
