"""Camera poses against plain COLMAP: the same keyframes, side by side.

    python -m benchmarks.poses [--quick]

From keyframes to undistorted images, ours against `extract_features` + `match_sequential` (video) or
`match_exhaustive` (photos) + `incremental_mapping` + `undistort_images` of pycolmap, everything default but image
size and threads. Both sides run in processes of their own, by turns; figures are medians. Real captures are found
through RECONSTRUCTION_TEST_DATA and left out, by name, where they are missing; the sample is always there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel, read_model
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.sample import SampleCapture, make_sample
from reconstruction_pipeline.stages.ingest import ingest
from reconstruction_pipeline.stages.keyframes import KeyframeSettings, select_keyframes
from reconstruction_pipeline.stages.poses import PoseSettings, estimate_poses

CAPTURES = {
    "apple_handheld": "videos/apple_handheld.mp4",
    "desk_handheld": "videos/desk_handheld.mp4",
    "fox": "fox/images",
}
DATA = Path(os.environ.get("RECONSTRUCTION_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def main(quick: bool = False, cache: Path | None = None, threads: int = 0, only: tuple[str, ...] = ()) -> None:
    """Print the table. `quick`: one run each of the sample and the smallest capture, else three of all."""
    threads = threads or os.cpu_count() or 1
    scratch = tempfile.TemporaryDirectory(prefix="poses-bench-")
    folder = cache or Path(scratch.name)
    sample = make_sample(folder / "samples", "demo")
    names = ["sample", *CAPTURES] if not quick else ["sample", "apple_handheld"]
    rows = []
    for name in [n for n in names if not only or n in only]:
        source = sample.video if name == "sample" else DATA / CAPTURES[name]
        if not source.exists():
            print(f"{name}: not here ({source})")
            continue
        keyframes = _keyframes(source, folder / name)
        runs: dict[str, list[dict[str, Any]]] = {"ours": [], "plain": []}
        for _ in range(1 if quick else 3):
            runs["ours"].append(_ours(keyframes, threads))
            runs["plain"].append(_plain(keyframes, threads))
        truth = sample if name == "sample" else None
        rows.append((name, {side: _summary(of, keyframes, truth) for side, of in runs.items()}))
        _print_row(*rows[-1])
    if rows:
        _print_sum(rows)
    scratch.cleanup()


def _keyframes(source: Path, folder: Path) -> Keyframes:
    done = folder / "keyframes"
    if (done / "camera.json").exists():
        return Keyframes(done)
    return select_keyframes(ingest(source, folder / "source"), KeyframeSettings(), done)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _ours(keyframes: Keyframes, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        cpu, started = _children_cpu() + time.process_time(), time.perf_counter()
        poses = estimate_poses(keyframes, PoseSettings(threads=threads), Path(folder))
        seconds, cpu = time.perf_counter() - started, _children_cpu() + time.process_time() - cpu
        m = poses.metrics
        return {
            "seconds": seconds,
            "cpu": cpu,
            "parts": m.get("cpu_s", {}),
            "registered": m["registered"],
            "points": m["points"],
            "error_px": m["mean_reprojection_error_px"],
            "rung": m["fallback_level"],
            "failed": [g.name for g in poses.verdict.gates if not g.passed],
            "focal": m["focal_px"],
            "model": poses.model(),
        }


def _plain(keyframes: Keyframes, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        job = {
            "images": str(keyframes.path("images").resolve()),
            "output": folder,
            "ordered": bool(keyframes.camera()["ordered"]),
            "threads": threads,
            "max_size": PoseSettings().max_size,
        }
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job))
        cpu = _children_cpu()
        command = [sys.executable, str(Path(__file__).with_name("plain_colmap.py")), str(path)]
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
        result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
        result |= {"cpu": _children_cpu() - cpu, "parts": result["cpu_s"]}
        result["model"] = read_model(Path(result["model"])) if result["registered"] else None
        return result


def _summary(runs: list[dict[str, Any]], keyframes: Keyframes, truth: SampleCapture | None) -> dict[str, Any]:
    summary = dict(runs[-1])
    for key in ("seconds", "cpu"):
        summary[key] = statistics.median(run[key] for run in runs)
    if truth and summary["model"]:
        frames = keyframes.table().set_index("name")["frame"]
        index = [int(frames[image.name]) for image in summary["model"].images]
        summary |= errors(summary["model"], truth.frames.centers[index], truth.frames.rotations[index])
        summary["extent"] = truth.summary["path_extent_m"]
    return summary


def errors(
    model: ColmapModel, centers: npt.NDArray[np.float64], rotations: npt.NDArray[np.float64]
) -> dict[str, float]:
    """`ate` (metres, RMS after the best similarity: Umeyama 1991) and `rotation_deg` (largest) against the truth."""
    a, b = model.centers - model.centers.mean(axis=0), centers - centers.mean(axis=0)
    u, s, vt = np.linalg.svd(b.T @ a)
    signs = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    turn = u @ signs @ vt
    scale = (s * np.diag(signs)).sum() / (a**2).sum()
    off = np.linalg.norm(scale * a @ turn.T - b, axis=1)
    angles = [
        np.degrees(np.arccos(np.clip((np.trace(true @ turn @ image.rotation.T) - 1) / 2, -1, 1)))
        for image, true in zip(model.images, rotations, strict=True)
    ]
    return {"ate": float(np.sqrt((off**2).mean())), "rotation_deg": float(np.max(angles))}


def _print_row(name: str, sides: dict[str, dict[str, Any]]) -> None:
    for side, s in sides.items():
        parts = " ".join(f"{k} {v:.1f}" for k, v in s["parts"].items())
        error = f"{s['error_px']:.2f}" if s.get("error_px") else "-"
        truth = ""
        if "ate" in s:
            truth = f"  ATE {1000 * s['ate']:.2f} mm ({100 * s['ate'] / s['extent']:.3f} %)"
            truth += f", rotation {s['rotation_deg']:.3f} deg"
        notes = f"  rung {s['rung']} failed {s['failed']} focal {s['focal']}" if "rung" in s else ""
        print(
            f"{name:15s} {side:6s} {s['seconds']:7.1f} s  CPU {s['cpu']:7.1f} s ({parts})"
            f"  registered {s['registered']:3d}  points {s['points']:6d}  error {error} px" + truth + notes,
            flush=True,
        )


def _print_sum(rows: list[tuple[str, dict[str, dict[str, Any]]]]) -> None:
    for key, what in (("seconds", "wall"), ("cpu", "CPU")):
        ours, plain = (sum(sides[side][key] for _, sides in rows) for side in ("ours", "plain"))
        print(f"sum over {len(rows)} scenes, {what}: ours {ours:.1f} s, plain {plain:.1f} s, ratio {ours / plain:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cache", type=Path, help="keep sample and keyframes here")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[])
    given = parser.parse_args()
    main(given.quick, given.cache, given.threads, tuple(given.only))
