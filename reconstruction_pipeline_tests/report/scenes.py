"""Tiny synthetic artifacts, as a finished or stopped line leaves them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from reconstruction_pipeline.artifacts import (
    Artifact,
    CameraPoses,
    CompressedSplats,
    DepthMaps,
    Gate,
    GaussianSplats,
    Keyframes,
    Mesh,
    SourceVideo,
    Verdict,
)
from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, PosedImage, rotation_of, write_model
from reconstruction_pipeline.report import ReportInputs

NAMES = [f"frame_{i:04d}.jpg" for i in range(30)]
HASH = "5f" * 32
LATITUDE = "55.7059"


def common(seconds: float, backend: str) -> dict[str, object]:
    return {"seconds": seconds, "peak_rss_mb": np.float64(412.5), "backend": backend, "fallback_level": 0}


def draw(path: Path, size: tuple[int, int], phase: float, gps: bool = False) -> None:
    """A smooth coloured picture; with `gps` it carries a place and a device in its EXIF, as phones write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y = np.meshgrid(np.linspace(0, 3, size[0]), np.linspace(0, 2, size[1]))
    waves = [np.sin(x * f + phase + f) * np.cos(y * (f + 1) - phase) for f in (1.3, 2.1, 3.2)]
    image = Image.fromarray((np.stack(waves, -1) * 90 + 128).astype(np.uint8))
    exif = Image.Exif()
    if gps:
        exif[0x0110] = "SecretPhone 12"
        exif.get_ifd(0x8825).update({1: "N", 2: (55.0, 42.0, 21.0), 29: "2031:01:02"})
    image.save(path, quality=85, exif=exif)


def source_video(root: Path) -> SourceVideo:
    (root / "source").mkdir(parents=True)
    (root / "source" / "walk.mp4").write_bytes(b"video")
    probe = {"kind": "video", "sha256": HASH, "name": "walk.mp4", "codec": "h264", "width": 1280, "height": 720}
    probe |= {
        "duration_s": 5.0,
        "frames": 150,
        "rate_hz": 30.0,
        "gps_latitude": LATITUDE,
        "device_model": "SecretPhone",
    }
    (root / "probe.json").write_text(json.dumps(probe))
    return SourceVideo(root, {**common(0.2, "pyav"), "sha256": HASH, "location": LATITUDE, "duration_s": 5.0})


def keyframes(root: Path) -> Keyframes:
    for row, name in enumerate(NAMES):
        draw(root / "images" / name, (160, 90), row / 5, gps=True)
    rng = np.random.default_rng(1)
    times = np.arange(150) / 30
    every = pd.DataFrame({"name": [f"frame_{i:04d}.jpg" for i in range(150)], "timestamp_s": times})
    every["sharpness"] = 120 + 30 * np.sin(times * 2) + rng.normal(0, 9, 150)
    every["motion_px"] = 6 + 3 * np.cos(times * 3) + rng.normal(0, 0.7, 150)
    every["chosen"] = np.arange(150) % 5 == 2
    every["reason"] = np.where(every["chosen"], "sharpest of its window", "")
    every.to_csv(root / "candidates.csv", index=False)
    every[every["chosen"]].assign(name=NAMES).to_csv(root / "keyframes.csv", index=False)
    camera = {"ordered": True, "width": 1280, "height": 720, "focal_px": None}
    (root / "camera.json").write_text(json.dumps(camera))
    gates = Verdict.of(
        [
            Gate("usable_frames", True, "block", "30 usable frames of the needed 8.", 30, 8),
            Gate("not_static", True, "block", "The picture moves by 6.1 px between frames.", 6.1, 0.5),
        ]
    )
    return Keyframes(root, {**common(3.1, "pyav"), "frames_decoded": 150, "selected": 30}, gates)


def camera_poses(root: Path, placed: int = 30) -> CameraPoses:
    """A walk along an arc around a table: y-down world, cameras looking at its middle."""
    rng = np.random.default_rng(2)
    xyz = np.concatenate(
        [rng.normal(0, (0.8, 0.05, 0.8), (400, 3)), rng.uniform((-2, -1.5, 1.5), (2, 1, 1.8), (200, 3))]
    )
    images = []
    for row, name in enumerate(NAMES[:placed]):
        angle = np.pi * (row / 29 - 0.5) * 1.1
        turn = rotation_of((np.cos(angle / 2), 0, np.sin(angle / 2), 0))
        center = turn.T @ np.array([0, -0.6 + 0.05 * np.sin(row), -3.0])
        draw(root / "images" / name, (160, 90), row / 5)
        q = (np.cos(angle / 2), 0.0, np.sin(angle / 2), 0.0)
        images.append(PosedImage(name, 1, q, turn, -turn @ center, np.zeros((0, 2)), np.zeros(0, np.int64)))
    rgb = rng.integers(30, 220, xyz.shape).astype(np.uint8)
    cameras = {1: Camera("PINHOLE", 160, 90, (120.0, 120.0, 80.0, 45.0))}
    model = ColmapModel(cameras, tuple(images), xyz, rgb, np.ones(len(xyz)), np.full(len(xyz), 4))
    write_model(root / "sparse" / "0", model)
    metrics = {**common(41.7, "pycolmap"), "images": 30, "registered": placed, "registered_ratio": placed / 30}
    metrics |= {"points": np.int64(9590), "mean_reprojection_error_px": 0.43, "mean_track_length": 6.2}
    gate = Gate("registered_ratio", placed >= 15, "block", f"{placed} of 30 images were placed.", placed / 30, 0.5)
    if not gate.passed:
        gate = replace(gate, advice="Film slower, with more overlap, and keep textured things in view.")
    return CameraPoses(root, {**metrics, "median_triangulation_angle_deg": 9.4}, Verdict.of([gate]))


def depth_maps(root: Path) -> DepthMaps:
    (root / "depth").mkdir(parents=True)
    ramp = np.tile(np.linspace(1, 4, 16, dtype=np.float32), (9, 1))
    for row in (0, 12, 24):
        np.savez(root / "depth" / f"{NAMES[row]}.npz", depth=ramp, confidence=np.ones((9, 16)))
    draw(root / "previews" / "strip.jpg", (320, 90), 0)
    gate = Gate(
        "coverage", False, "warn", "Depth was found for 38 % of the pixels.", 0.38, 0.4, "Film textured surfaces."
    )
    return DepthMaps(root, {**common(22.4, "plane-sweep"), "coverage": 0.38}, Verdict.of([gate]))


def gaussian_splats(root: Path, psnr: float = 26.1) -> GaussianSplats:
    root.mkdir(parents=True)
    (root / "scene.ply").write_bytes(b"ply" * 40_000)
    steps = np.arange(0, 800, 10)
    level = np.digitize(steps, [200, 500])
    loss = 0.3 * np.exp(-(steps % 300) / 150) * (1 + 0.4 * level) + 0.03
    curve = {"step": steps, "seconds": steps / 8.0, "loss": loss, "count": 2000 + steps * 35, "level": level}
    pd.DataFrame(curve).to_csv(root / "training_curve.csv", index=False)
    held_out = NAMES[::8]
    scores = [psnr - 3.3, psnr + 1.6, psnr - 0.2, psnr + 1.9]
    ssim = [0.71, 0.88, 0.83, 0.89]
    pd.DataFrame({"name": held_out, "psnr": scores, "ssim": ssim}).to_csv(root / "evaluation.csv", index=False)
    for row, name in enumerate(held_out):
        draw(root / "comparisons" / name, (640, 180), row)
    metrics = {**common(104.0, "numba"), "count": 30_000, "steps": 800, "device": "cpu", "psnr_segment_db": None}
    metrics |= {"psnr_holdout_db": np.float32(psnr), "ssim_holdout": 0.83}
    gates = [
        Gate("psnr_holdout_db", psnr >= 18, "block", f"Held-out views reach {psnr:.1f} dB.", psnr, 18.0),
        Gate("finite", True, "block", "No parameter is NaN."),
    ]
    return GaussianSplats(root, metrics, Verdict.of(gates))


def mesh(root: Path) -> Mesh:
    root.mkdir(parents=True)
    (root / "mesh.ply").write_bytes(b"ply")
    (root / "mesh.glb").write_bytes(b"glTF")
    for row, view in enumerate(("front", "above")):
        draw(root / "previews" / f"{view}.jpg", (480, 270), row + 2)
    return Mesh(root, {**common(17.9, "tsdf"), "vertices": 81_204, "faces": 160_311, "components": 3})


def compressed_splats(root: Path) -> CompressedSplats:
    root.mkdir(parents=True)
    (root / "scene.sog").write_bytes(b"sog" * 2_000)
    (root / "viewer.html").write_text("<!doctype html>")
    metrics = {**common(8.8, "sog"), "sog_bytes": 612_345, "sog_ratio": 11.6, "sog_psnr_loss_db": 0.08}
    gate = Gate("sog_loss", True, "warn", "SOG loses 0.08 dB.", 0.08, 0.3)
    return CompressedSplats(
        root, {**metrics, "spz_bytes": 801_200, "spz_ratio": 8.9, "spz_psnr_loss_db": float("nan")}, Verdict.of([gate])
    )


MAKERS = (source_video, keyframes, camera_poses, depth_maps, gaussian_splats, mesh, compressed_splats)


def line(root: Path, stages: int = len(MAKERS)) -> dict[str, Artifact]:
    """The first `stages` artifacts of a line."""
    return {maker.__name__: maker(root / maker.__name__) for maker in MAKERS[:stages]}


def inputs(artifacts: dict[str, Artifact], **changes: object) -> ReportInputs:
    """Report inputs of a video named `walk`."""
    links = {
        n: n
        for n in ("scene.ply", "scene.sog", "mesh.glb", "mesh.ply", "viewer.html", "transforms.json", "metrics.json")
    }
    made = ReportInputs("walk", "balanced", artifacts, {}, {"torch": "2.13.0", "numba": "0.68.1"}, links)
    return replace(made, **changes)
