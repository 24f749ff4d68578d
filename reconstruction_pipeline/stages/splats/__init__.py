"""gaussian_splats: differentiable training of 3D Gaussians from posed pictures, and its measurement."""

from __future__ import annotations

import resource
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.depth_maps import DepthMaps
from reconstruction_pipeline.artifacts.gaussian_splats import GaussianSplats
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.verdict import Verdict
from reconstruction_pipeline.stages.splats.settings import TrainSettings

if TYPE_CHECKING:
    from reconstruction_pipeline.external.stage import ExternalStage

__all__ = ["TrainSettings", "gaussian_splats"]


def gaussian_splats(
    poses: CameraPoses,
    depth_maps: DepthMaps | None,
    settings: TrainSettings,
    workspace: Path,
    progress: Progress,
    checkpoint_folder: Path | None = None,
    weights_folder: Path | None = None,
    external: ExternalStage | None = None,
) -> GaussianSplats:
    """Train the scene of `poses`, started from its sparse points and from confident depth where there is some.

    With `external`, another program trains it (`external.train_externally`), and we measure.

    What the masks of `poses` ignore counts neither in training nor in the scores.
    Writes the artifact's files into `workspace`. With a `checkpoint_folder`, an interrupted run of the
    same settings and pictures goes on where it stopped. LPIPS is measured if its weights are in
    `weights_folder`. Raises StageFailed (too few points, training diverged), MissingRequirement (device),
    InvalidArtifact (wrong weights), Cancelled.
    """
    if external is not None:
        from reconstruction_pipeline.stages.splats.external import train_externally

        return train_externally(poses, settings, workspace, progress, external, checkpoint_folder, weights_folder)
    from reconstruction_pipeline.stages.splats import checkpoint
    from reconstruction_pipeline.stages.splats.inputs import dense_points_of, points_of, views_of
    from reconstruction_pipeline.stages.splats.outputs import write_comparisons, write_scene
    from reconstruction_pipeline.stages.splats.scene import train_scene

    started = time.perf_counter()
    model = poses.model()
    views = views_of(model, poses.image_path, poses.mask_path, depth_maps if settings.depth_weight > 0 else None)
    dense_for = None
    if depth_maps is not None and settings.dense_share > 0:
        dense_for = partial(dense_points_of, poses, depth_maps)
    result = train_scene(
        views,
        points_of(model),
        settings,
        progress,
        dense_for,
        checkpoint_folder,
        resume=checkpoint_folder is not None,
        weights_folder=weights_folder,
    )
    file_gates = write_scene(workspace, result, settings.sh_degree)
    write_comparisons(workspace, result)
    if checkpoint_folder is not None:
        checkpoint.discard(checkpoint_folder)
    metrics = {
        **result.metrics,
        "seconds": round(time.perf_counter() - started, 3),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0, 1),
    }
    return replace(GaussianSplats(workspace), metrics=metrics, verdict=Verdict.of([*result.gates, *file_gates]))
