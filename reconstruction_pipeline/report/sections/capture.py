"""What was filmed and where the camera was: keyframes and camera poses."""

from __future__ import annotations

from pathlib import Path

from reconstruction_pipeline.artifacts import CameraPoses, Keyframes
from reconstruction_pipeline.report.camera_path import coverage_view, path_views
from reconstruction_pipeline.report.inputs import ReportInputs
from reconstruction_pipeline.report.pictures import picture, spread
from reconstruction_pipeline.report.plain import number_of
from reconstruction_pipeline.report.plots import selection_chart
from reconstruction_pipeline.report.section import Chart, Section
from reconstruction_pipeline.report.sections.pieces import facts_of, previews
from reconstruction_pipeline.report.words import number

MOST_THUMBNAILS = 24
COVERAGE = (
    "Coverage, from above: points that two images see are red, three or four orange, five to nine green, more blue. "
    "What is red or missing was filmed too little to be exact."
)


def keyframes(inputs: ReportInputs) -> Section | None:
    """Contact sheet, sharpness and motion."""
    artifact = inputs.artifacts.get("keyframes")
    if not isinstance(artifact, Keyframes):
        return None
    section = Section("keyframes", "Keyframes", layout="thumbs")
    poses = inputs.artifacts.get("camera_poses")

    def contact_sheet() -> None:
        table = artifact.table()
        placed = {Path(i.name).stem for i in poses.model().images} if isinstance(poses, CameraPoses) else set()
        linking = artifact.not_for_training()
        times = dict(zip(table["name"], table["timestamp_s"], strict=True)) if "timestamp_s" in table else {}
        paths = [artifact.path("images", name) for name in table["name"]]
        shown = spread(paths, MOST_THUMBNAILS)
        for path in shown:
            time = number_of(times.get(path.name))
            for_poses = path.name in linking
            left_out = bool(placed) and path.stem not in placed and not for_poses
            caption = f"{time:.1f} s" if time is not None else path.stem
            alt = f"Keyframe {path.stem}" + (", not placed in the scene" if left_out else "")
            badge, tone = ("not placed", "fail") if left_out else ("poses only", "") if for_poses else ("", "")
            section.pictures.append(picture(path, alt, caption, badge=badge, tone=tone, longest=232))
        section.lead = "The frames chosen for the scene" + (
            f"; {len(shown)} of the {len(paths)} are shown." if len(shown) < len(paths) else "."
        )

    def curves() -> None:
        import pandas as pd

        candidates = artifact.path("candidates.csv")
        table = pd.read_csv(candidates) if candidates.is_file() else artifact.table()
        for column, label, caption in (
            ("sharpness", "sharpness", "Sharpness of every frame looked at; dots are the chosen ones."),
            ("motion_px", "motion, px", "Motion in the picture since the frame before, in pixels."),
        ):
            svg = selection_chart(table, column, label)
            if svg is not None:
                section.charts.append(Chart(svg, caption))

    section.attempt("The contact sheet", contact_sheet)
    section.attempt("The plot of the frames", curves)
    names = ["frames_decoded", "selected", "duration_s", "blur", "parallax"]
    if not artifact.metrics.get("duration_s"):
        names.remove("duration_s")  # photos have no length
    section.facts = facts_of(artifact, names)
    return section


def camera_poses(inputs: ReportInputs) -> Section | None:
    """The camera path from above and from the side, and how well the images fit together."""
    artifact = inputs.artifacts.get("camera_poses")
    if not isinstance(artifact, CameraPoses):
        return None
    section = Section("camera-poses", "Camera path")

    def views() -> None:
        model = artifact.model()
        if not model.images:
            raise ValueError("no image was placed")
        frames = inputs.artifacts.get("keyframes")
        ordered = bool(frames.camera().get("ordered")) if isinstance(frames, Keyframes) else False
        above, side = path_views(model, ordered)
        section.charts += [Chart(above, "Seen from above."), Chart(side, "Seen from the side.")]
        if len(model.xyz):
            section.charts.append(Chart(coverage_view(model), COVERAGE))
            often = float((model.track_lengths >= 3).mean())
            section.facts.append(("Points seen by three or more", f"{round(100 * often)} %"))
        section.lead = (
            f"Where the {number(len(model.images))} placed images were taken, among {number(len(model.xyz))} sparse "
            "points in their own colours. Short strokes show where the camera looked."
        )

    section.attempt("The camera path", views)
    section.facts[:0] = facts_of(
        artifact,
        (
            "images",
            "registered",
            "points",
            "mean_reprojection_error_px",
            "mean_track_length",
            "median_triangulation_angle_deg",
        ),
    )
    if not section.charts:
        section.attempt("The previews", lambda: section.pictures.extend(previews(artifact, "Camera poses")))
    return section
