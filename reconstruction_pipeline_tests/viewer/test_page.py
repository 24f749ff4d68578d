from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, MissingRequirement
from reconstruction_pipeline.viewer import page, vendor, with_grade, write_viewer
from reconstruction_pipeline_tests.viewer.scenes import cameras

TEMPLATE = (
    '<html><head><title>@@TITLE@@</title><script type="application/json" id="sse-bootstrap">"@@BOOTSTRAP@@"</script>'
    "<!--@@HEAD@@--></head><body><!--@@BODY@@--><!--@@SCENE@@--></body></html>"
)


@pytest.fixture
def small_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "template", lambda: TEMPLATE)


@pytest.fixture
def sog(tmp_path: Path) -> Path:
    (tmp_path / "scene.sog").write_bytes(bytes(range(256)) * 4000)
    return tmp_path / "scene.sog"


def views_of(text: str) -> list[dict]:
    """What both of the page's own modules were given."""
    return [json.loads(found) for found in re.findall(r"^const \{.*\} = (.*);$", text, re.M) if found.startswith("{")]


def bootstrap_of(text: str) -> dict:
    return json.loads(re.search(r'id="sse-bootstrap">(.*?)</script>', text, re.S).group(1))


@pytest.mark.usefixtures("small_template")
def test_page_holds_the_scene_and_the_path(sog: Path, tmp_path: Path) -> None:
    write_viewer(tmp_path / "v.html", sog, cameras(), "Fox", "12 splats")
    text = (tmp_path / "v.html").read_text()
    parts = re.findall(r'<script>scene\.add\("([^"]*)", (\d+)\)</script>', text)
    assert len(parts) == 3 and {total for _, total in parts} == {"3"}
    assert b"".join(base64.b64decode(part) for part, _ in parts) == sog.read_bytes()
    bootstrap = bootstrap_of(text)
    assert bootstrap["contentFilename"] == "scene.sog"
    settings = bootstrap["settings"]
    track = settings["animTracks"][0]
    assert settings["version"] == 2 and settings["startMode"] == "animTrack"
    assert len(track["keyframes"]["times"]) == 3 and len(track["keyframes"]["values"]["position"]) == 9
    assert settings["cameras"][0]["initial"]["position"] == track["keyframes"]["values"]["position"][:3]
    assert "@@" not in text and "12 splats" in text
    before, after = views_of(text)
    assert before == after and before["paused"] is True and before["startSeconds"] == 0


@pytest.mark.usefixtures("small_template")
def test_the_grade_is_added_once_and_only_as_text(sog: Path, tmp_path: Path) -> None:
    write_viewer(tmp_path / "v.html", sog, cameras(), "Fox", page.NO_GRADE)
    text = (tmp_path / "v.html").read_text()
    graded = with_grade(text, "B")
    assert graded.count('<span id="scene-grade" data-grade="B">Grade B</span>') == 1
    assert with_grade(graded, "C") == graded
    assert '"><script' not in with_grade(text, '"><script>')


@pytest.mark.usefixtures("small_template")
def test_autoplay_starts_the_path(sog: Path, tmp_path: Path) -> None:
    write_viewer(tmp_path / "v.html", sog, cameras(), "Fox", autoplay=True)
    assert views_of((tmp_path / "v.html").read_text())[0]["paused"] is False


@pytest.mark.usefixtures("small_template")
@pytest.mark.parametrize(
    "title",
    [
        "</script><script>alert(1)</script>",
        '"@@BOOTSTRAP@@"',
        "<!--@@HEAD@@-->",
        "@@NOTE@@",
        "<!--@@SCENE@@-->",
        "\\1 $&",
    ],
)
def test_titles_are_only_text(title: str, sog: Path, tmp_path: Path) -> None:
    import html

    write_viewer(tmp_path / "v.html", sog, cameras(), title, note=title)
    text = (tmp_path / "v.html").read_text()
    assert html.unescape(re.search("<title>(.*?)</title>", text).group(1)) == title
    assert text.count("<script") == 1 + 2 + 1 + 3
    assert bootstrap_of(text)["contentFilename"] == "scene.sog"


@pytest.mark.usefixtures("small_template")
def test_a_model_without_images_is_refused(sog: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArtifact, match="no images"):
        write_viewer(tmp_path / "v.html", sog, replace(cameras(), images=()), "Fox")


def test_a_missing_viewer_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(MissingRequirement, match=re.escape(vendor.COMMAND)):
        vendor.template(tmp_path)


def test_an_outdated_viewer_is_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "viewer_template.html").write_text(TEMPLATE)
    (tmp_path / "manifest.json").write_text(json.dumps(vendor.wanted_manifest() | {"version": "1.0.0"}))
    with pytest.raises(MissingRequirement):
        vendor.template(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(vendor.wanted_manifest()))
    assert vendor.template(tmp_path) == TEMPLATE


@pytest.mark.skipif(not vendor.VENDOR.is_dir(), reason=f"'{vendor.COMMAND}' has not run")
def test_the_installed_page_forbids_requests_and_carries_the_licence() -> None:
    text = vendor.template()
    assert "default-src 'none'" in text and "connect-src data: blob:" in text
    assert "Permission is hereby granted" in text
    for mark in ("@@TITLE@@", "<!--@@HEAD@@-->", "<!--@@BODY@@-->", "<!--@@SCENE@@-->", '"@@BOOTSTRAP@@"'):
        assert text.count(mark) == 1
