"""What each asset's figures mean: one row a video, as Dagster shows it beside the plots.

These are the figures that every capture has; a stage may report more, which are described in its own module.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

Column = tuple[str, str, str]

COMMON: tuple[Column, ...] = (
    ("seconds", "float", "Wall time of the stage, s."),
    ("peak_rss_mb", "float", "Largest resident memory of the stage's process, MB."),
    ("backend", "string", "What did the work."),
    ("fallback_level", "int", "0 is the first choice; each step down is a poorer one."),
    ("version", "string", "Name of the stored version."),
)

FIGURES: Mapping[str, tuple[Column, ...]] = {
    "source_video": (
        ("kind", "string", "video or photos."),
        ("codec", "string", "As FFmpeg names it, or the photos' format."),
        ("width", "int", "Upright, px."),
        ("height", "int", "Upright, px."),
        ("frames", "int", "Frames that the index promises, or photos."),
        ("duration_s", "float", "s; 0 for photos."),
        ("bytes", "int", "Size of the capture."),
        ("sha256", "string", "Identity of the content; the data version."),
    ),
    "keyframes": (
        ("frames_decoded", "int", "Frames that were looked at."),
        ("selected", "int", "Keyframes that were chosen."),
        ("width", "int", "Of the keyframes, px."),
        ("height", "int", "Of the keyframes, px."),
        ("blur", "float", "Median of Crété's measure: 0 sharp, 1 blurred."),
        ("median_sharpness", "float", "Of the chosen frames."),
    ),
    "camera_poses": (
        ("images", "int", "Keyframes meant for poses."),
        ("registered", "int", "Keyframes with a pose."),
        ("registered_ratio", "float", "Share of them."),
        ("points", "int", "Sparse points."),
        ("mean_reprojection_error_px", "float", "px."),
        ("mean_track_length", "float", "Images per point."),
        ("median_observations_per_image", "float", "Points per image."),
        ("median_triangulation_angle_deg", "float", "Median over points of the largest ray angle, degrees."),
        ("focal_px", "float", "px."),
    ),
    "depth_maps": (
        ("images", "int", "Images with depth."),
        ("coverage", "float", "Mean share of the pixels with depth."),
        ("sparse_within_5_percent", "float", "Share of sparse points that the depth meets within 5 %."),
        ("median_relative_error_to_sparse", "float", "Relative, at the sparse points."),
        ("monocular", "string", "Whether a monocular model was used, or why not."),
        ("monocular_images", "int", "Images whose monocular map fits their sparse points."),
        ("monocular_rejected", "int", "Images whose monocular map does not."),
        ("monocular_filled_share", "float", "Mean share of the pixels whose depth is monocular."),
    ),
    "gaussian_splats": (
        ("count", "int", "Gaussians."),
        ("steps", "int", "Steps of training."),
        ("training_seconds", "float", "s."),
        ("device", "string", "cpu or cuda."),
        ("psnr_holdout_db", "float", "On views that training never saw, raw, dB."),
        ("ssim_holdout", "float", "On the same views."),
        ("psnr_segment_db", "float", "With a contiguous segment held out, dB; only where asked for."),
        ("held_out_views", "int", "Views that training never saw."),
        ("training_views", "int", "Views that it saw."),
    ),
    "mesh": (
        ("vertices", "int", ""),
        ("faces", "int", ""),
        ("components", "int", "Connected pieces."),
        ("largest_component_share", "float", "Share of the faces in the largest piece."),
        ("coverage", "float", "Share of the rendered depth that lies on the mesh."),
    ),
    "compressed_splats": (
        ("ply_bytes", "int", "Of scene.ply."),
        ("sog_bytes", "int", "Of scene.sog."),
        ("sog_ratio", "float", "scene.ply over scene.sog."),
        ("sog_psnr_loss_db", "float", "Held-out PSNR lost by the compression, dB."),
        ("viewer_bytes", "int", "Of viewer.html."),
    ),
    "scene_report": (),
}


def column_schema(asset: str) -> dg.TableSchema:
    """The schema of an asset's figures."""
    return dg.TableSchema([dg.TableColumn(name, kind, text) for name, kind, text in (*FIGURES[asset], *COMMON)])
