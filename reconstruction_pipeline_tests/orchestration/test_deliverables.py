from __future__ import annotations

import re
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from upath import UPath

from reconstruction_pipeline.artifacts import SceneReport
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.orchestration.deliverables import CONTENTS, deliver
from reconstruction_pipeline.orchestration.reporting import report_inputs
from reconstruction_pipeline.report import build_report
from reconstruction_pipeline.viewer.page import NO_GRADE
from reconstruction_pipeline_tests.report import scenes


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "storage") if request.param == "local" else f"memory://{uuid.uuid4().hex}"


def test_a_scene_is_delivered_with_its_grade_and_shown_in_the_gallery(root: str, tmp_path: Path) -> None:
    made = scenes.line(tmp_path / "made")
    page = made["compressed_splats"].path("viewer.html")
    page.write_text(f"<!doctype html>{NO_GRADE}")
    report = build_report(report_inputs("walk", "balanced", made), tmp_path / "report", NullProgress())
    # As the store gives them: with a version.
    artifacts = {name: replace(item, version="1") for name, item in {**made, SceneReport.KIND: report}.items()}
    folder = deliver(root, "walk", artifacts)
    assert "Grade B" in (folder / "viewer.html").read_text()
    assert page.read_text().endswith(NO_GRADE), "what is stored is never changed"
    gallery = (UPath(root) / "deliverables" / "index.html").read_text()
    links = set(re.findall(r'(?:href|src)="walk/([^"]+)"', gallery))
    assert {"viewer.html", "report.html", "thumbnail.jpg", "scene.ply", "scene.sog"} <= links
    assert all((folder / name).exists() for name in links), "every link of the gallery leads to a file"
    assert links <= {name.split("/")[0] for name in CONTENTS}
    # Delivered again, the scene is there once.
    deliver(root, "walk", artifacts)
    assert gallery.count('data-name="walk"') == 1
