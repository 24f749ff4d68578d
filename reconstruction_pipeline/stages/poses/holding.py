"""Bundle adjustment with the focal lengths that EXIF tells, beside the one that is free; part of the child process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.poses.channel import Channel

# The model must bend to another focal length, along the direction in which it hardly resists: slowly.
ITERATIONS = 100
# The mapper's own limits for a point: residual in pixels, and the angle under which it is seen.
FILTER_PX, FILTER_DEG = 4.0, 1.5
# Residuals beyond this many pixels count less, as in the last adjustment of the mapping.
ROBUST_PX = 0.5


def hold_focal(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Adjust `job["model"]` twice: free, then with `job["focals"]` (pixels by camera id) held.

    Both errors are means over the same observations, pixels. The held model is written to `job["output"]`, without
    the observations that it contradicts.
    """
    import pycolmap

    channel.send("phase", phase="mapping", total=1)
    model = pycolmap.Reconstruction(job["model"])
    _adjust(model, free=True)
    free_px = model.compute_mean_reprojection_error()
    for key, focal in job["focals"].items():
        camera = model.cameras[int(key)]
        params = list(camera.params)
        for index in camera.focal_length_idxs():
            params[index] = focal
        for index in camera.extra_params_idxs():
            params[index] = 0.0
        camera.params = params
    _adjust(model, free=False)
    held_px = model.compute_mean_reprojection_error()
    pycolmap.ObservationManager(model).filter_all_points3D(FILTER_PX, FILTER_DEG)
    _adjust(model, free=False)
    output = Path(job["output"])
    output.mkdir(parents=True)
    model.write_binary(output)
    return {"free_px": free_px, "held_px": held_px, "registered": model.num_reg_images()}


def _adjust(model: Any, *, free: bool) -> None:
    import pycolmap

    options = pycolmap.BundleAdjustmentOptions()
    options.refine_principal_point = options.print_summary = False
    options.refine_focal_length = free
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.loss_function_scale = ROBUST_PX
    options.ceres.solver_options.max_num_iterations = ITERATIONS
    options.ceres.solver_options.num_threads = 1
    pycolmap.bundle_adjustment(model, options)
    model.update_point_3d_errors()
