"""Every quality gate by asset, as asset checks declare them: (name, "block" | "warn").

Dagster wants the names of checks before anything runs. The thresholds and the measuring are the stages' own;
a stage that reports a gate missing here fails loudly (`checks.check_results`).
"""

from __future__ import annotations

SOURCE_VIDEO = (
    ("photos_readable", "warn"),
    ("given_poses", "warn"),
    ("side_files", "warn"),
)

KEYFRAMES = (
    ("decodable", "block"),
    ("duration", "block"),
    ("usable_frames", "block"),
    ("content", "block"),
    ("not_static", "block"),
    ("complete", "warn"),
    ("one_scene", "warn"),
    ("parallax", "warn"),
    ("sharp", "warn"),
    ("speed", "warn"),
    ("exposure", "warn"),
    ("texture", "warn"),
    ("overlap", "warn"),
)

CAMERA_POSES = (
    ("registered", "block"),
    ("mostly_registered", "warn"),
    ("weak_images", "warn"),
    ("points", "block"),
    ("observations", "block"),
    ("track_length", "block"),
    ("reprojection_error", "block"),
    ("triangulation_angle", "block"),
    ("focal_length", "warn"),
    ("focal_sane", "block"),
    ("focal_exif", "warn"),
    ("focal_certain", "warn"),
    ("fold", "block"),
    ("stray_images", "warn"),
    ("one_piece", "warn"),
    ("external_stage", "warn"),
    ("turntable", "block"),
    ("trajectory", "warn"),
    ("first_settings", "warn"),
    ("georeferenced", "warn"),
    ("known_length", "warn"),
)

DEPTH_MAPS = (
    ("depth_agrees_with_sparse", "warn"),
    ("depth_coverage", "warn"),
    ("monocular_depth", "warn"),
)

GAUSSIAN_SPLATS = (
    ("initial_points", "block"),
    ("loss_fell_level_0", "block"),
    ("loss_fell_level_1", "block"),
    ("loss_fell_level_2", "block"),
    ("finite", "block"),
    ("count_within_cap", "block"),
    ("cap_fits_memory", "warn"),
    ("psnr_holdout", "block"),
    ("psnr_holdout_good", "warn"),
    ("better_than_initial", "block"),
    ("model_size", "block"),
    ("scene_loads", "block"),
)

MESH = (
    ("mesh_not_empty", "warn"),
    ("mesh_dominant_component", "warn"),
    ("mesh_inside_bounds", "warn"),
    ("mesh_coverage", "warn"),
    ("mesh_crop", "warn"),
)

COMPRESSED_SPLATS = (
    ("sog_decodes", "warn"),
    ("sog_psnr_loss_db", "warn"),
    ("sog_off_path_db", "warn"),
    ("sog_ratio", "warn"),
    ("spz_decodes", "warn"),
    ("spz_psnr_loss_db", "warn"),
    ("spz_off_path_db", "warn"),
    ("glb_decodes", "warn"),
    ("glb_psnr_loss_db", "warn"),
    ("glb_off_path_db", "warn"),
    ("streamed_decodes", "warn"),
    ("streamed_psnr_loss_db", "warn"),
    ("streamed_off_path_db", "warn"),
    ("streamed_levels_db", "warn"),
)

SCENE_REPORT = ()
