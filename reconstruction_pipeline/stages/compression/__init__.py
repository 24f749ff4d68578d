"""Delivery: small files made of the splats, measured again, and the page that shows them."""

from __future__ import annotations

import time
from pathlib import Path

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.compressed_splats import CompressedSplats
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.gaussian_splats import GaussianSplats
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.verdict import Verdict
from reconstruction_pipeline.stages.compression.codecs import WriteOptions, read_splats, write_splats
from reconstruction_pipeline.stages.compression.convert import Conversion, convert
from reconstruction_pipeline.stages.compression.fidelity import measure, write_comparison
from reconstruction_pipeline.stages.compression.gates import decode_gate, loss_gate, ratio_gate
from reconstruction_pipeline.stages.compression.settings import GATES, CompressionSettings
from reconstruction_pipeline.viewer.page import write_viewer
from reconstruction_pipeline.viewer.vendor import template

__all__ = [
    "GATES",
    "CompressionSettings",
    "Conversion",
    "WriteOptions",
    "compress_splats",
    "convert",
    "read_splats",
    "write_splats",
]

STAGE = "compressed_splats"


def compress_splats(
    splats: GaussianSplats, poses: CameraPoses, settings: CompressionSettings, workspace: Path, progress: Progress
) -> CompressedSplats:
    """Write `scene.sog` and `viewer.html` into `workspace`, decode the file again and measure what it lost.

    The loss is the mean PSNR against held-out photographs of the trained scene minus that of the decoded
    one, both rendered here. Raises `MissingRequirement` when the viewer is not installed, `InvalidArtifact`
    for a scene that cannot be encoded, `Cancelled`.
    """
    template()  # a missing viewer is said before the work, not after it
    started = time.perf_counter()
    progress.report(STAGE, 0.0, 1.0, "reading the splats")
    scene, model = splats.gaussians(), poses.model()
    if not model.images:
        raise InvalidArtifact(f"{poses.folder}: no registered images; run the stage camera_poses again.")
    path = workspace / "scene.sog"
    progress.report(STAGE, 0.05, 1.0, f"writing {scene.count:,} splats as SOG")
    write_splats(path, scene, WriteOptions(None, settings.palette, settings.kmeans_iterations, settings.seed))
    encode_seconds = time.perf_counter() - started
    ply_bytes, sog_bytes = splats.path("scene.ply").stat().st_size, path.stat().st_size

    losses: dict[str, float | int | None] = {
        "sog_psnr_loss_db": None,
        "sog_psnr_vs_ply_db": None,
        "sog_psnr_vs_ply_off_path_db": None,
    }
    try:
        decoded = read_splats(path)
    except InvalidArtifact as error:
        gates = [decode_gate(scene.count, None, str(error))]
    else:

        def tick(done: int, total: int) -> None:
            progress.report(STAGE, 0.5 + 0.45 * done / total, 1.0, f"measuring, view {done} of {total}")

        fidelity, worst = measure(scene, decoded, poses, settings, tick)
        gates = [decode_gate(scene.count, decoded.count), loss_gate(fidelity, settings)]
        write_comparison(workspace / "previews" / "sog_vs_ply.jpg", worst)
        losses = {
            "sog_psnr_loss_db": round(fidelity.loss_db, 4),
            "sog_psnr_vs_ply_db": round(fidelity.against_reference_db, 2),
            "sog_psnr_vs_ply_off_path_db": round(fidelity.off_path_db, 2),
            "measured_views": fidelity.views,
        }
    gates.append(ratio_gate(ply_bytes / sog_bytes, settings))

    progress.report(STAGE, 0.97, 1.0, "writing the viewer")
    write_viewer(workspace / "viewer.html", path, model, settings.title, f"{scene.count:,} splats")
    metrics = {
        "count": scene.count,
        "ply_bytes": ply_bytes,
        "sog_bytes": sog_bytes,
        "sog_ratio": round(ply_bytes / sog_bytes, 2),
        **losses,
        "spz_bytes": None,
        "viewer_bytes": (workspace / "viewer.html").stat().st_size,
        "encode_seconds": round(encode_seconds, 2),
        "seconds": round(time.perf_counter() - started, 2),
        "backend": "cpu",
        "fallback_level": 0,
    }
    progress.report(STAGE, 1.0, 1.0, f"{sog_bytes / 1e6:.1f} MB")
    return CompressedSplats(workspace, metrics, Verdict.of(gates))
