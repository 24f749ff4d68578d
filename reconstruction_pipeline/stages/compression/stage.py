"""Delivery: the trained scene cleaned up, made into small files that are measured again, and the page that shows it."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.compressed_splats import CompressedSplats
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians, GaussianSplats
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.verdict import Verdict
from reconstruction_pipeline.artifacts.views import pinhole_view
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.compression.attempts import ATTEMPTS, write_sog
from reconstruction_pipeline.stages.compression.clean import Cleanup, clean
from reconstruction_pipeline.stages.compression.codecs import WriteOptions
from reconstruction_pipeline.stages.compression.comparison import write_comparison
from reconstruction_pipeline.stages.compression.delivery import Delivery, deliver
from reconstruction_pipeline.stages.compression.external import compress_externally, remove_work
from reconstruction_pipeline.stages.compression.fidelity import Yardstick
from reconstruction_pipeline.stages.compression.gates import ratio_gate
from reconstruction_pipeline.stages.compression.settings import CompressionSettings
from reconstruction_pipeline.stages.compression.streaming import FOLDER as STREAMED
from reconstruction_pipeline.stages.compression.streaming import Streamed, deliver_streamed
from reconstruction_pipeline.viewer.page import write_viewer
from reconstruction_pipeline.viewer.streaming import write_streaming_page
from reconstruction_pipeline.viewer.vendor import template

if TYPE_CHECKING:
    from reconstruction_pipeline.external.stage import ExternalStage

STAGE = "compressed_splats"
NOTHING_TO_SEE_DB = 60.0
"""A file that is closer to the PLY than this gets no picture of the difference."""


def compress_splats(
    splats: GaussianSplats,
    poses: CameraPoses,
    settings: CompressionSettings,
    workspace: Path,
    progress: Progress,
    external: ExternalStage | None = None,
) -> CompressedSplats:
    """Write `scene.sog`, what `settings.also` names, and `viewer.html` into `workspace`; decode and measure all.

    Large scenes are also written as `streamed/lod-meta.json` with levels of detail and a page for a static host.
    The files hold the scene without what the clean-up removes. What is lost is measured against the trained scene:
    the mean PSNR of its renders against held-out photographs minus that of the decoded file's. With `external`, another
    program writes the formats that it can; they are measured alike. Raises
    `MissingRequirement` when the viewer is not installed, `InvalidArtifact` for a scene that cannot be encoded,
    `Cancelled`.
    """
    template()  # a missing viewer is said before the work, not after it
    started = time.perf_counter()
    progress.report(STAGE, 0.0, 1.0, "reading the splats")
    trained, model = splats.gaussians(), poses.model()
    if not model.images:
        raise InvalidArtifact(f"{poses.folder}: no registered images; run the stage camera_poses again.")
    yardstick = Yardstick(trained, poses, settings)
    cleanup, cleaned = _cleaned(trained, poses, settings, yardstick, progress)
    scene = cleanup.scene
    # Not the held-out views: what is measured there must not have been fitted there.
    views = tuple(
        pinhole_view(model, image) for row, image in enumerate(model.images) if row % max(settings.holdout, 2)
    )
    ply_bytes = splats.path("scene.ply").stat().st_size

    def sog_tick(attempt: int, done: int, total: int) -> None:
        what = f"SOG: measuring, view {done} of {total}"
        progress.report(STAGE, 0.2 + 0.6 * (attempt + done / total) / ATTEMPTS, 1.0, what)

    made = compress_externally(scene, settings, workspace, progress, external) if external else None
    progress.report(STAGE, 0.2, 1.0, f"writing {scene.count:,} splats as SOG")
    price: float | None = None
    if made and "sog" in made.files:
        sog = made.deliver("sog", workspace, scene, ply_bytes, yardstick, partial(sog_tick, 0))
    else:
        sog, price = write_sog(workspace / "scene.sog", scene, ply_bytes, views, yardstick, settings, sog_tick)
    deliveries = [sog]
    for number, name in enumerate(settings.also):
        share = 0.8 + 0.15 * number / len(settings.also)
        progress.report(STAGE, share, 1.0, f"writing {scene.count:,} splats as {name}")
        options = WriteOptions(seed=settings.seed, views=views)
        tick = _ticker(progress, share, 0.15 / len(settings.also), f"{name}: measuring")
        if made and name in made.files:
            deliveries.append(made.deliver(name, workspace, scene, ply_bytes, yardstick, tick))
            continue
        deliveries.append(deliver(workspace / f"scene.{name}", scene, ply_bytes, options, yardstick, tick))
    streamed = None
    if scene.count > settings.stream_above:
        streamed = _streamed(workspace, scene, ply_bytes, views, yardstick, settings, progress)
        write_streaming_page(workspace / STREAMED, model, settings.title, f"{scene.count:,} splats")
    progress.report(STAGE, 0.97, 1.0, "writing the viewer")
    _write_pictures(workspace / "previews", deliveries)
    write_viewer(workspace / "viewer.html", workspace / "scene.sog", model, settings.title, f"{scene.count:,} splats")
    metrics: dict[str, Any] = {"count": scene.count, "trained_count": trained.count, "ply_bytes": ply_bytes}
    metrics |= cleaned
    for delivery in deliveries:
        metrics |= delivery.metrics()
    if streamed is not None:
        metrics |= streamed.metrics()
    metrics |= {
        "measured_views": sog.fidelity.views if sog.fidelity is not None else 0,
        "sog_price": price,
        "viewer_bytes": (workspace / "viewer.html").stat().st_size,
        "seconds": round(time.perf_counter() - started, 2),
        "backend": "cpu",
        "fallback_level": 0,
        **(made.metrics() if made else {}),
    }
    remove_work(workspace)
    gates = [gate for delivery in deliveries for gate in delivery.gates(settings)]
    gates.append(ratio_gate(sog.ratio, settings))
    if streamed is not None:
        gates += streamed.gates(settings)
    progress.report(STAGE, 1.0, 1.0, f"{sog.file_bytes / 1e6:.1f} MB")
    return CompressedSplats(workspace, metrics, Verdict.of(gates))


def _cleaned(
    trained: Any, poses: CameraPoses, settings: CompressionSettings, yardstick: Yardstick, progress: Progress
) -> tuple[Cleanup, dict[str, Any]]:
    """The scene to deliver, and as metrics what was removed and what that cost."""
    if not settings.clean:
        return Cleanup(trained), {}
    progress.report(STAGE, 0.02, 1.0, "cleaning up")
    cleanup = clean(trained, poses, settings, _ticker(progress, 0.02, 0.15, "cleaning up"))
    cost: dict[str, Any] = {"clean_psnr_cost_db": 0.0, "clean_psnr_vs_ply_off_path_db": None}
    if cleanup.scene.count < trained.count:
        fidelity, _, _ = yardstick.measure(cleanup.scene, _ticker(progress, 0.17, 0.03, "measuring the clean-up"))
        cost = {
            "clean_psnr_cost_db": round(fidelity.loss_db, 4),
            "clean_psnr_vs_ply_off_path_db": round(fidelity.off_path_db, 2),
        }
    return cleanup, {**cleanup.metrics(), **cost}


def _streamed(
    workspace: Path,
    scene: Gaussians,
    ply_bytes: int,
    views: tuple[PinholeView, ...],
    yardstick: Yardstick,
    settings: CompressionSettings,
    progress: Progress,
) -> Streamed:
    progress.report(STAGE, 0.95, 1.0, f"writing {scene.count:,} splats in levels of detail")
    options = WriteOptions(seed=settings.seed, views=views, levels=settings.stream_levels)
    tick = _ticker(progress, 0.95, 0.02, "levels of detail: measuring")
    return deliver_streamed(workspace / STREAMED, scene, ply_bytes, options, yardstick, tick)


def _write_pictures(folder: Path, deliveries: list[Delivery]) -> None:
    for delivery in deliveries:
        captions = ("scene.ply", f"scene.{delivery.name}")
        fidelity = delivery.fidelity
        if delivery.worst is not None and fidelity is not None and fidelity.against_reference_db < NOTHING_TO_SEE_DB:
            write_comparison(folder / f"{delivery.name}_vs_ply.jpg", delivery.worst, captions)
        if delivery.worst_off_path is not None and delivery.name == "sog":
            write_comparison(folder / "off_path.jpg", delivery.worst_off_path, captions)


def _ticker(progress: Progress, start: float, width: float, what: str) -> Any:
    def tick(done: int, total: int) -> None:
        progress.report(STAGE, start + width * done / total, 1.0, f"{what}, {done} of {total}")

    return tick
