from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.errors import Cancelled
from reconstruction_pipeline.artifacts.progress import NullProgress, RecordingProgress
from reconstruction_pipeline.artifacts.verdict import Gate, Verdict
from reconstruction_pipeline.report import ReportInputs, StageFailure, build_report
from reconstruction_pipeline_tests.report import scenes
from reconstruction_pipeline_tests.report.reading import Page, read_page

STAGES = ["source_video", "keyframes", "camera_poses", "depth_maps", "gaussian_splats", "mesh", "compressed_splats"]


def report_of(inputs: ReportInputs, folder: Path) -> tuple[dict, Page]:
    report = build_report(inputs, folder, NullProgress())
    report.validate()
    page = read_page(folder / "report.html")
    raw = (folder / "report.html").read_text()
    assert not re.search(r"https?:|\bsrc=\"(?!data:)|url\(|@import|<script", raw), "the page must work offline"
    assert all(image["alt"] for image in page.all("img"))
    return report.all_metrics(), page


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Page, Path]:
    root = tmp_path_factory.mktemp("complete")
    return (*report_of(scenes.inputs(scenes.line(root)), root / "report"), root)


def test_metrics_have_the_names_of_the_contract(complete: tuple[dict, Page, Path]) -> None:
    metrics = complete[0]
    assert {"grade", "warnings", "source_sha256", "preset", "versions", "failed", *STAGES} <= set(metrics)
    for stage in STAGES:
        assert {"seconds", "peak_rss_mb", "backend", "fallback_level"} <= set(metrics[stage])
        assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in metrics[stage])
    assert metrics["grade"] == "B"
    assert metrics["warnings"] == ["depth_maps: Depth was found for 38 % of the pixels."]
    assert metrics["failed"] is None
    assert (metrics["source_sha256"], metrics["preset"]) == (scenes.HASH, "balanced")
    assert metrics["files"]["scene.sog"] == 6000 and metrics["files"]["report.html"] is None
    assert abs((datetime.now(UTC) - datetime.fromisoformat(metrics["made_at"])).total_seconds()) < 600
    assert metrics["versions"] == {"torch": "2.13.0", "numba": "0.68.1"}
    assert metrics["camera_poses"]["points"] == 9590
    assert metrics["gaussian_splats"]["psnr_holdout_db"] == pytest.approx(26.1, abs=1e-4)
    assert metrics["gaussian_splats"]["psnr_segment_db"] is None
    assert metrics["compressed_splats"]["spz_psnr_loss_db"] is None, "NaN is no JSON"
    assert [g["stage"] for g in metrics["gates"] if not g["passed"]] == ["depth_maps"]


def test_page_shows_the_scene_and_its_numbers(complete: tuple[dict, Page, Path]) -> None:
    _, page, root = complete
    for words in ("walk", "Grade B", "26.1 dB", "30,000", "0.830", "3:18 min", "Film textured surfaces.", "11.6 ×"):
        assert words in page.text, words
    headings = {text.strip() for text in page.texts}
    assert {"Renders against the truth", "Keyframes", "Camera path", "Depth", "Training", "Mesh"} <= headings
    assert {"Compressed files", "How the time divides", "Quality gates", "Provenance"} <= headings
    assert [t for t, _ in page.tags if t in ("h1", "main")].count("h1") == 1
    links = [a["href"] for a in page.all("a")]
    assert links[0] == "viewer.html" and "scene.ply" in links
    assert len(page.images()) == 1 + 4 + 24 + 3 + 2
    assert len(page.all("svg")) == 8 and all(svg["aria-label"] for svg in page.all("svg"))
    assert (root / "report" / "report.html").stat().st_size < 3_000_000


def test_worst_views_come_first_with_their_figures(complete: tuple[dict, Page, Path]) -> None:
    badges = re.findall(r"(worst|best) · ([\d.]+) dB", complete[1].text)
    assert badges == [("worst", "22.8"), ("worst", "25.9"), ("best", "28.0"), ("best", "27.7")]


def test_nothing_of_the_place_or_the_device_goes_in(complete: tuple[dict, Page, Path]) -> None:
    _, page, root = complete
    written = (root / "report" / "report.html").read_text() + (root / "report" / "metrics.json").read_text()
    assert scenes.LATITUDE not in written and "SecretPhone" not in written
    for image in page.images():
        assert not image.getexif() and not {"exif", "comment", "icc_profile"} & set(image.info)


def test_grade_a_needs_a_clean_line(tmp_path: Path) -> None:
    artifacts = scenes.line(tmp_path)
    artifacts["depth_maps"] = replace(artifacts["depth_maps"], verdict=Verdict())
    artifacts["gaussian_splats"] = scenes.gaussian_splats(tmp_path / "better", psnr=28.0)
    metrics, page = report_of(scenes.inputs(artifacts), tmp_path / "a")
    assert (metrics["grade"], metrics["warnings"]) == ("A", [])
    assert "Not an A" not in page.text
    fallen = {**artifacts["mesh"].metrics, "fallback_level": 1}
    artifacts["mesh"] = replace(artifacts["mesh"], metrics=fallen)
    metrics, page = report_of(scenes.inputs(artifacts), tmp_path / "b")
    assert metrics["grade"] == "B"
    assert "Not an A because mesh fell back from the first choice of method." in page.text
    assert "fallback" in page.text


def test_stopped_by_a_gate_of_keyframes(tmp_path: Path) -> None:
    artifacts = scenes.line(tmp_path, 2)
    gate = Gate("not_static", False, "block", "The camera hardly moves (0.1 px).", 0.1, 0.5, "Walk while you film.")
    artifacts["keyframes"] = replace(artifacts["keyframes"], verdict=Verdict.of([gate]))
    refusal = StageFailure("camera_poses", "camera_poses refuses keyframes that failed.")
    metrics, page = report_of(scenes.inputs(artifacts, failures={"camera_poses": refusal}), tmp_path / "report")
    assert metrics["grade"] == "F"
    assert metrics["failed"] == {
        "stage": "keyframes",
        "sentence": "The camera hardly moves (0.1 px).",
        "advice": "Walk while you film.",
    }
    assert metrics["stages_reached"] == ["source_video", "keyframes"]
    assert metrics["camera_poses"] is None
    start = page.text.index("Stopped at keyframes")
    assert start < page.text.index("Walk while you film.") < page.text.index("Frames decoded"), "the cause comes first"
    assert len(page.images()) == 1 + 24


def test_stopped_at_poses_without_an_artifact(tmp_path: Path) -> None:
    log = "Registering image #1\nGPS: LAT=55.7059 LON=13.19\nNo good initial pair <found>"
    failure = StageFailure("camera_poses", "No two frames fit together.", advice="Move sideways.", log_tail=log)
    inputs = scenes.inputs(scenes.line(tmp_path, 2), failures={"camera_poses": failure}, links={})
    metrics, page = report_of(inputs, tmp_path / "report")
    assert metrics["grade"] == "F"
    assert metrics["failed"] == {
        "stage": "camera_poses",
        "sentence": "No two frames fit together.",
        "advice": "Move sideways.",
    }
    assert "Stopped at camera poses" in page.text and "Reached: source and keyframes." in page.text
    assert "No good initial pair <found>" in page.text and scenes.LATITUDE not in page.text


def test_rejected_before_anything_was_stored(tmp_path: Path) -> None:
    failure = StageFailure("source_video", "walk.mp4: not a readable video.", advice="Copy the file again.")
    metrics, page = report_of(scenes.inputs({}, failures={"source_video": failure}, links={}), tmp_path)
    assert (metrics["grade"], metrics["source_sha256"]) == ("F", None)
    assert all(metrics[stage] is None for stage in STAGES)
    assert "walk.mp4: not a readable video." in page.text


def test_an_end_without_a_cause_is_not_silent(tmp_path: Path) -> None:
    metrics, page = report_of(scenes.inputs(scenes.line(tmp_path, 3)), tmp_path / "report")
    assert metrics["grade"] == "F" and metrics["failed"]["stage"] == "depth_maps"
    assert "no cause was recorded" in page.text


def test_a_missing_mesh_warns_and_keeps_the_scene(tmp_path: Path) -> None:
    artifacts = scenes.line(tmp_path)
    del artifacts["mesh"]
    failure = StageFailure("mesh", "No surface was found.", advice="Film from more sides.")
    metrics, page = report_of(scenes.inputs(artifacts, failures={"mesh": failure}), tmp_path / "report")
    assert metrics["grade"] == "B"
    assert "mesh: No surface was found." in metrics["warnings"]
    assert metrics["failed"]["stage"] == "mesh"
    assert "Stopped" not in page.text and "Film from more sides." in page.text


def test_unplaced_keyframes_are_marked(tmp_path: Path) -> None:
    artifacts = scenes.line(tmp_path, 2)
    artifacts["camera_poses"] = scenes.camera_poses(tmp_path / "camera_poses", placed=6)
    metrics, page = report_of(scenes.inputs(artifacts), tmp_path / "report")
    assert metrics["failed"]["sentence"] == "6 of 30 images were placed."
    shown = np.linspace(0, 29, 24).round()
    assert page.text.count("not placed") == int((shown >= 6).sum())


def test_a_damaged_file_costs_only_its_part(tmp_path: Path) -> None:
    artifacts = scenes.line(tmp_path)
    artifacts["camera_poses"].path("sparse", "0", "images.bin").write_bytes(b"\1")
    artifacts["gaussian_splats"].path("training_curve.csv").write_text("")
    metrics, page = report_of(scenes.inputs(artifacts), tmp_path / "report")
    assert metrics["grade"] == "B"
    assert "The camera path could not be shown" in page.text and "The training curve could not be shown" in page.text
    assert "Compressed files" in page.text


def test_texts_are_escaped(tmp_path: Path) -> None:
    failure = StageFailure("keyframes", "<b>odd</b> & 'quoted'", log_tail="</pre><i>")
    inputs = scenes.inputs(scenes.line(tmp_path, 1), failures={"keyframes": failure}, key="a<b>&c")
    _, page = report_of(inputs, tmp_path / "report")
    assert "<b>odd</b> & 'quoted'" in page.text and "a<b>&c" in page.text and "</pre><i>" in page.text


def test_progress_and_cancellation(tmp_path: Path) -> None:
    inputs = scenes.inputs(scenes.line(tmp_path))
    progress = RecordingProgress()
    build_report(inputs, tmp_path / "report", progress)
    assert progress.reports[-1][1] == progress.reports[-1][2]
    with pytest.raises(Cancelled):
        build_report(inputs, tmp_path / "other", RecordingProgress(cancel_after=2))


def test_metrics_file_is_strict_json(complete: tuple[dict, Page, Path]) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    json.loads((complete[2] / "report" / "metrics.json").read_text(), parse_constant=refuse)


def test_accepted_failed_gates_still_fail(tmp_path: Path) -> None:
    artifacts = scenes.line(tmp_path)
    artifacts["camera_poses"] = scenes.camera_poses(tmp_path / "few", placed=6)
    metrics, page = report_of(scenes.inputs(artifacts), tmp_path / "report")
    assert metrics["grade"] == "F" and metrics["failed"]["stage"] == "camera_poses"
    assert "Failed at camera poses" in page.text and "only because failed gates were accepted" in page.text
    assert "No scene was made" not in page.text


def test_lpips_is_shown_where_it_was_measured(complete: tuple[dict, Page, Path], tmp_path: Path) -> None:
    assert "LPIPS" not in complete[1].text
    artifacts = scenes.line(tmp_path / "line")
    splats = artifacts["gaussian_splats"]
    table = splats.evaluation()  # type: ignore[attr-defined]
    table.assign(lpips=np.nan).to_csv(splats.path("evaluation.csv"), index=False)
    assert "LPIPS" not in report_of(scenes.inputs(artifacts), tmp_path / "without")[1].text
    table.assign(lpips=[0.2111, 0.3222, 0.4333, np.nan]).to_csv(splats.path("evaluation.csv"), index=False)
    measured = replace(splats, metrics={**splats.metrics, "lpips_holdout": 0.322})
    page = report_of(scenes.inputs({**artifacts, "gaussian_splats": measured}), tmp_path / "with")[1]
    for words in ("LPIPS (AlexNet)", "0.211", "0.433", "Held-out LPIPS (AlexNet)", "0.322"):
        assert words in page.text, words
