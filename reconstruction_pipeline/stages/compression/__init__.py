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
from reconstruction_pipeline.stages.compression.attempts import STAGE, write_sog
from reconstruction_pipeline.stages.compression.codecs import WriteOptions, read_splats, write_splats
from reconstruction_pipeline.stages.compression.convert import Conversion, convert
from reconstruction_pipeline.stages.compression.fidelity import write_comparison
from reconstruction_pipeline.stages.compression.gates import loss_gate, ratio_gate
from reconstruction_pipeline.stages.compression.settings import CompressionSettings
from reconstruction_pipeline.viewer.page import write_viewer
from reconstruction_pipeline.viewer.vendor import template

__all__ = [
    "CompressionSettings",
    "Conversion",
    "WriteOptions",
    "compress_splats",
    "convert",
    "read_splats",
    "write_splats",
]

LOSSES = ("sog_psnr_loss_db", "sog_psnr_vs_ply_db", "sog_psnr_vs_ply_off_path_db")


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
    ply_bytes = splats.path("scene.ply").stat().st_size
    attempt = write_sog(workspace / "scene.sog", scene, ply_bytes, poses, settings, progress)
    gates = [attempt.decoded, ratio_gate(attempt.ratio, settings)]
    losses: dict[str, float | int | None] = dict.fromkeys(LOSSES)
    if attempt.fidelity is not None and attempt.worst is not None:
        gates.insert(1, loss_gate(attempt.fidelity, settings))
        write_comparison(workspace / "previews" / "sog_vs_ply.jpg", attempt.worst)
        fidelity = attempt.fidelity
        figures = (fidelity.loss_db, fidelity.against_reference_db, fidelity.off_path_db)
        losses = {name: round(figure, 4) for name, figure in zip(LOSSES, figures, strict=True)}
        losses["measured_views"] = fidelity.views
    progress.report(STAGE, 0.97, 1.0, "writing the viewer")
    write_viewer(workspace / "viewer.html", workspace / "scene.sog", model, settings.title, f"{scene.count:,} splats")
    metrics = {
        "count": scene.count,
        "ply_bytes": ply_bytes,
        "sog_bytes": attempt.sog_bytes,
        "sog_ratio": round(attempt.ratio, 2),
        **losses,
        "sog_palette": attempt.palette,
        "sog_encode_seconds": round(attempt.seconds, 2),
        "spz_bytes": None,
        "viewer_bytes": (workspace / "viewer.html").stat().st_size,
        "seconds": round(time.perf_counter() - started, 2),
        "backend": "cpu",
        "fallback_level": 0,
    }
    progress.report(STAGE, 1.0, 1.0, f"{attempt.sog_bytes / 1e6:.1f} MB")
    return CompressedSplats(workspace, metrics, Verdict.of(gates))
