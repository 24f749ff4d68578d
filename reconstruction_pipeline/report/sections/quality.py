"""Whether it looks right: renders against the truth, the training, the mesh."""

from __future__ import annotations

import math
from pathlib import Path

from reconstruction_pipeline.artifacts import GaussianSplats, Mesh
from reconstruction_pipeline.report.inputs import ReportInputs
from reconstruction_pipeline.report.pictures import Picture, picture
from reconstruction_pipeline.report.plots import training_chart, views_chart
from reconstruction_pipeline.report.section import Chart, Section, Table
from reconstruction_pipeline.report.sections.pieces import facts_of, previews
from reconstruction_pipeline.report.words import number

MOST_COMPARISONS = 4


def comparisons(inputs: ReportInputs) -> Section | None:
    """The worst and the best held-out views beside their photographs, and the table of all."""
    artifact = inputs.artifacts.get("gaussian_splats")
    if not isinstance(artifact, GaussianSplats):
        return None
    section = Section("comparisons", "Renders against the truth", layout="pairs")

    def pairs() -> None:
        folder = artifact.path("comparisons")
        files = sorted(folder.glob("*.jpg")) if folder.is_dir() else []
        scores = _scores(artifact)
        ranked = sorted((p for p in files if p.stem in scores), key=lambda p: scores[p.stem])
        half = MOST_COMPARISONS // 2
        worst, best = (ranked[:half], ranked[half:][-half:]) if len(ranked) > 1 else ([], ranked)
        for path in worst:
            section.pictures.append(_pair(path, scores, "worst", "warn"))
        for path in reversed(best):
            section.pictures.append(_pair(path, scores, "best", "pass"))
        if not ranked:
            section.pictures += [picture(p, f"Comparison {p.stem}", p.stem) for p in files[:MOST_COMPARISONS]]
        if section.pictures:
            section.lead = (
                "Views that training never saw: the photograph, then what the scene shows from the same place, then "
                "where the two differ (black: nowhere; pale yellow: by a quarter of the full range or more). "
                "The worst come first."
            )

    def table() -> None:
        if not artifact.path("evaluation.csv").is_file():
            return
        rows = artifact.evaluation().sort_values("psnr")
        shown = {"psnr": ("PSNR, dB", 2), "ssim": ("SSIM", 3)}
        if "lpips" in rows and rows["lpips"].notna().any():
            shown["lpips"] = ("LPIPS (AlexNet)", 3)
        columns = [[_decimals(value, digits) for value in rows[name]] for name, (_, digits) in shown.items()]
        cells = list(zip(map(str, rows["name"]), *columns, strict=True))
        head = ("Held-out view", *(title for title, _ in shown.values()))
        section.tables.append(Table(head, cells, tuple(range(1, len(head))), f"All {len(cells)} held-out views"))

    section.attempt("The comparisons", pairs)
    section.attempt("The evaluation table", table)
    return section


def _decimals(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def _scores(artifact: GaussianSplats) -> dict[str, float]:
    """PSNR in dB by the stem of the view's comparison, which has no folders in it."""
    if not artifact.path("evaluation.csv").is_file():
        return {}
    rows = artifact.evaluation()
    stems = [Path(str(name).replace("/", "_")).stem for name in rows["name"]]
    return dict(zip(stems, rows["psnr"].astype(float), strict=True))


def _pair(path: Path, scores: dict[str, float], rank: str, tone: str) -> Picture:
    psnr = scores[path.stem]
    alt = f"View {path.stem}: photograph, render and their difference side by side, {psnr:.1f} dB"
    return picture(path, alt, path.stem, badge=f"{rank} · {psnr:.1f} dB", tone=tone, longest=1200)


def training(inputs: ReportInputs) -> Section | None:
    """Loss and number of Gaussians over the seconds of training, and how well each held-out view came out."""
    artifact = inputs.artifacts.get("gaussian_splats")
    if not isinstance(artifact, GaussianSplats):
        return None
    section = Section("training", "Training")

    def curves() -> None:
        if not artifact.path("training_curve.csv").is_file():
            return
        curve = artifact.training_curve()
        loss = training_chart(curve, "loss", "loss", "first")
        count = training_chart(curve, "count", "Gaussians", "second")
        if loss is not None:
            section.charts.append(Chart(loss, "Loss; at each level the pictures get finer, and it may jump."))
        if count is not None:
            section.charts.append(Chart(count, "Number of Gaussians."))

    def views() -> None:
        if artifact.path("evaluation.csv").is_file() and (chart := views_chart(artifact.evaluation())) is not None:
            caption = "PSNR of every held-out view, in the order of the capture; the line is their mean."
            section.charts.append(Chart(chart, caption))

    section.attempt("The training curve", curves)
    section.attempt("The plot of the held-out views", views)
    names = "steps count training_seconds held_out_views psnr_initial_db psnr_holdout_db ssim_holdout"
    section.facts = facts_of(artifact, [*names.split(), "lpips_holdout", "psnr_segment_db"])
    if device := artifact.metrics.get("device"):
        section.facts.append(("Trained on", str(device)))
    return section


def mesh(inputs: ReportInputs) -> Section | None:
    """Pictures and size of the surface."""
    artifact = inputs.artifacts.get("mesh")
    if not isinstance(artifact, Mesh):
        return None
    section = Section("mesh", "Mesh")
    section.attempt("The pictures of the mesh", lambda: section.pictures.extend(previews(artifact, "Mesh")))
    section.facts = facts_of(artifact, ("vertices", "faces", "components", "coverage"))
    vertices, faces = artifact.metrics.get("vertices"), artifact.metrics.get("faces")
    if vertices and faces:
        section.lead = (
            f"The surface of the scene: {number(faces)} triangles. The views show the photograph, the mesh in its "
            "colours, and its shape under a lamp."
        )
    return section
