"""From matches to sub-models: COLMAP's mappers and the last adjustment; part of the child process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconstruction_pipeline.stages.poses.rigs import hold_rig, hold_rig_globally

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.poses.channel import Channel

# Of the last adjustment: residuals beyond this many pixels count less; iterations until nothing changes (measured).
ROBUST_PX, REFINEMENTS = 0.5, 12
# While poses may still be off, so may matches, by more than COLMAP's four pixels.
LOOSE_PX, LOOSE_DEG = 12.0, 3.0


def map_incrementally(job: dict[str, Any], database: Path, channel: Channel) -> list[Any]:
    """Image after image onto a first pair; a sub-model (`pycolmap.Reconstruction`) for each part that does not meet."""
    import pycolmap

    rung, registered = job["rung"], [0]
    options = pipeline_options(job)
    options.init_num_trials = 60
    options.min_focal_length_ratio, options.max_focal_length_ratio = job["focal_range"]
    options.mapper.init_min_tri_angle = rung["init_min_tri_angle"]
    options.mapper.init_min_num_inliers = rung["init_min_inliers"]
    options.mapper.abs_pose_min_num_inliers = rung["abs_pose_min_inliers"]
    # A global adjustment as the model doubles, and no repeats: the one in `refine` decides how precise it gets.
    # Measured on four captures: 40 % less time, the same images, points and errors.
    options.ba_global_frames_ratio = options.ba_global_points_ratio = 2.0
    options.ba_global_max_refinements = options.ba_local_max_refinements = 1
    options.ba_local_max_num_iterations = 10
    if job.get("rig"):
        hold_rig(options)

    def start() -> None:
        registered[0] = 2
        channel.send("registered", count=2)

    def advance() -> None:
        registered[0] += 1
        channel.send("registered", count=registered[0])

    found = pycolmap.incremental_mapping(
        database,
        job["images"],
        models_folder(job),
        options=options,
        initial_image_pair_callback=start,
        next_image_callback=advance,
    )
    return list(found.values())


def map_globally(job: dict[str, Any], database: Path, channel: Channel) -> list[Any]:
    """All images at once from averaged rotations: Pan et al., "Global structure-from-motion revisited", ECCV 2024."""
    import pycolmap

    options = pycolmap.GlobalPipelineOptions()
    options.num_threads = options.mapper.num_threads = 1
    options.random_seed = options.mapper.random_seed = job["seed"]
    if job.get("rig"):
        hold_rig_globally(options)
    if not any(group["camera_params"] for group in job["groups"]):
        # Its own threads measure pairs anew, each with random samples of its own.
        calibration = pycolmap.ViewGraphCalibrationOptions()
        calibration.random_seed = job["seed"]
        pycolmap.calibrate_view_graph(database, calibration)
    return list(pycolmap.global_mapping(database, job["images"], models_folder(job), options=options).values())


def pipeline_options(job: dict[str, Any]) -> Any:
    """Options of COLMAP's incremental tools that make the same input give the same result."""
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    # One thread: sums in a fixed order, and at this size a second thread hardly helps.
    options.num_threads = 1
    options.random_seed = options.mapper.random_seed = options.triangulation.random_seed = job["seed"]
    return options


def models_folder(job: dict[str, Any]) -> Path:
    """Where the sub-models of a job are written."""
    folder = Path(job["work"]) / "models"
    folder.mkdir(exist_ok=True)
    return folder


def keep(model: Any, folder: Path) -> dict[str, Any]:
    """Write a sub-model; its `path`, and how many images and points it has."""
    folder.mkdir(exist_ok=True)
    model.write_binary(folder)
    return {"path": str(folder), "registered": model.num_reg_images(), "points": model.num_points3D()}


def refine(model: Any, stiff: bool = False) -> None:
    """A last adjustment in which large residuals count less; `stiff` keeps lenses and rigs as they are.

    The mapper's least squares let every wrong match within four pixels pull; on the sample the robust loss halves
    the error of the path, for a tenth of the mapper's time.
    """
    import pycolmap

    options = pycolmap.BundleAdjustmentOptions()
    options.refine_principal_point = options.print_summary = False
    if stiff:
        options.refine_sensor_from_rig = options.refine_focal_length = options.refine_extra_params = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.loss_function_scale = ROBUST_PX
    options.ceres.solver_options.max_num_iterations = REFINEMENTS
    options.ceres.solver_options.num_threads = 1
    pycolmap.bundle_adjustment(model, options)
    model.update_point_3d_errors()


def posed(database: Path, poses: Mapping[int, Any], cameras: Mapping[int, Any]) -> Any:
    """A model (`pycolmap.Reconstruction`) without points: the images with these numbers of the database at `poses`
    (`pycolmap.Rigid3d`, world to camera), with the lenses `cameras` where they are known.
    """
    import pycolmap

    result = pycolmap.Reconstruction()
    with pycolmap.Database.open(database) as opened:
        for camera in opened.read_all_cameras():
            result.add_camera(cameras.get(camera.camera_id, camera))
        for rig in opened.read_all_rigs():
            result.add_rig(rig)
        for frame in opened.read_all_frames():
            (number,) = [data.id for data in frame.image_ids]
            if number in poses:
                frame.rig_from_world = poses[number]
                result.add_frame(frame)
        for image in opened.read_all_images():
            if image.image_id in poses:
                result.add_image(image)
                result.register_frame(image.frame_id)
    return result


def triangulated(job: dict[str, Any], database: Path, model: Any, loosely: bool, least_matches: int = 15) -> Any:
    """`model` with points made anew from the verified matches of pairs that have `least_matches`; `loosely`: of poses
    that may be off.
    """
    import pycolmap

    options = pipeline_options(job)
    options.min_num_matches = least_matches
    if loosely:
        options.mapper.filter_max_reproj_error = LOOSE_PX
        options.triangulation.merge_max_reproj_error = options.triangulation.complete_max_reproj_error = LOOSE_PX
        options.triangulation.create_max_angle_error = options.triangulation.continue_max_angle_error = LOOSE_DEG
    output = models_folder(job) / "triangulated"
    output.mkdir(exist_ok=True)
    return pycolmap.triangulate_points(model, database, job["images"], output, clear_points=True, options=options)
