"""Pieces that several sections share."""

from __future__ import annotations

from collections.abc import Iterable

from reconstruction_pipeline.artifacts import Artifact
from reconstruction_pipeline.report.pictures import Picture, picture, spread
from reconstruction_pipeline.report.plain import number_of
from reconstruction_pipeline.report.words import duration, number, sentence_case, size

# Names of metrics that read badly when their underscores are simply taken away.
LABELS = {
    "frames_decoded": "Frames decoded",
    "selected": "Frames chosen",
    "images": "Images",
    "registered": "Placed",
    "points": "Sparse points",
    "mean_reprojection_error_px": "Reprojection error",
    "mean_track_length": "Images per point",
    "median_triangulation_angle_deg": "Triangulation angle",
    "count": "Splats",
    "psnr_holdout_db": "Held-out PSNR",
    "ssim_holdout": "Held-out SSIM",
    "lpips_holdout": "Held-out LPIPS (AlexNet)",
    "psnr_segment_db": "PSNR of a held-out segment",
    "psnr_initial_db": "PSNR before training",
    "held_out_views": "Held-out views",
    "median_relative_error_to_sparse": "Error at sparse points",
    "sparse_within_5_percent": "Sparse points met within 5 %",
    "training_seconds": "Training time",
    "duration_s": "Length",
    "parallax": "Motion that is not turning",
    "sog_ratio": "SOG is smaller",
    "psnr_holdout": "Held-out PSNR",
    "psnr_holdout_good": "Held-out PSNR is good",
    "better_than_initial": "Better than before training",
    "loss_fell_level_0": "Loss fell, coarse pictures",
    "loss_fell_level_1": "Loss fell, finer pictures",
    "loss_fell_level_2": "Loss fell, full pictures",
}
FORMATS = {
    "sog": "SOG",
    "spz": "SPZ",
    "glb": "glTF",
    "compressed.ply": "compressed PLY",
}
DIFFERENCE = "their difference, eight times enlarged"
PREVIEWS = {
    "mesh_above": "From above: its colours, and its shape",
    "mesh_turn": "Turned: five views around the scene",
    "off_path": f"Beside the filmed path: the trained scene, the SOG, and {DIFFERENCE}",
}
SHARES = {"coverage", "median_relative_error_to_sparse", "sparse_within_5_percent", "parallax", "registered_ratio"}
UNITS = {"_px": " px", "_deg": "°", "_db": " dB", "_mb": " MB", "_m": " m"}


def facts_of(artifact: Artifact, names: Iterable[str]) -> list[tuple[str, str]]:
    """(label, text) of those metrics that the artifact has."""
    known = ((name, number_of(artifact.metrics.get(name))) for name in names)
    return [(label(name), text(name, value)) for name, value in known if value is not None]


def label(name: str) -> str:
    """A metric's name for people."""
    suffix = next((unit for unit in (*UNITS, "_bytes", "_ratio") if name.endswith(unit)), "")
    return LABELS.get(name) or sentence_case(name.removesuffix(suffix))


def text(name: str, value: float) -> str:
    """A metric's value with the unit that its name ends with."""
    if name.endswith("_bytes"):
        return size(value)
    if name.endswith(("seconds", "_s")):
        return duration(value)
    if name in SHARES:
        return f"{number(100 * value) if value < 0.1 else round(100 * value)} %"
    return number(value) + next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), "")


def previews(artifact: Artifact, what: str, most: int = 4) -> list[Picture]:
    """The artifact's own small pictures, those that take a row of their own last; named after their files."""
    paths = spread(artifact.previews(), most)
    pictures = [picture(path, f"{what}: {name}", name) for path, name in ((path, caption(path.stem)) for path in paths)]
    return sorted(pictures, key=lambda one: one.panorama)


def caption(stem: str) -> str:
    """What a preview of this name shows."""
    known = PREVIEWS.get(stem)
    if known is None and stem.endswith("_vs_ply"):
        name = FORMATS.get(stem.removesuffix("_vs_ply"), stem.removesuffix("_vs_ply"))
        known = (
            f"The held-out view that {name} changes most: the photograph, the trained scene, the file, and {DIFFERENCE}"
        )
    return known or sentence_case(stem.removeprefix("mesh_")).strip()
