from __future__ import annotations

import json

import pytest

from reconstruction_pipeline.gallery.entry import UNKNOWN, entry_of, lists_files
from reconstruction_pipeline_tests.gallery.scenes import failed, metrics


def test_a_scene_with_its_numbers_and_files() -> None:
    entry = entry_of("fox", json.dumps(metrics("fox")))
    assert (entry.grade, entry.psnr_db, entry.bytes) == ("B", 26.25, 1_234_567)
    assert entry.facts == ("26.2 dB", "61,234 splats", "1.2 MB")
    assert entry.made_text == "2031-02-03 04:05 UTC"
    assert entry.target == "fox/viewer.html" and entry.has_thumbnail
    assert [(d.name, d.size) for d in entry.downloads] == [
        ("scene.ply", "12.0 MB"),
        ("scene.sog", "1.2 MB"),
        ("mesh.glb", "5.6 MB"),
        ("metrics.json", ""),
    ]
    assert entry.sentence == "The mesh has 12 pieces. (and 1 more)"


def test_a_failed_scene_shows_its_sentence_and_its_report() -> None:
    entry = entry_of("black", json.dumps(failed("black")))
    assert (entry.grade, entry.facts, entry.psnr_db) == ("F", (), None)
    assert entry.sentence == "All frames are black; film in light."
    assert entry.target == "black/report.html" and not entry.has_viewer


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"A"', "\x00", "{}", '{"grade": 3, "warnings": 7, "files": []}']
)
def test_what_cannot_be_read_is_shown_as_such(text: str) -> None:
    entry = entry_of("odd", text)
    assert entry.grade == UNKNOWN and entry.sentence
    assert entry.made is None and entry.downloads == ()


def test_older_scenes_are_listed_by_what_lies_there() -> None:
    document = metrics("old")
    del document["files"], document["made_at"]
    text = json.dumps(document)
    assert not lists_files(text) and lists_files(json.dumps(metrics("new")))
    entry = entry_of("old", text, frozenset({"viewer.html", "scene.sog", "report.html"}))
    assert entry.has_viewer and entry.has_report and not entry.has_thumbnail
    assert [d.name for d in entry.downloads] == ["scene.sog"]


def test_links_never_leave_the_scene() -> None:
    document = metrics("evil")
    document["files"] = {"../../etc/passwd": 1, "javascript:alert(1)": 2, "/abs": 3, ".hidden": 4, "scene.ply": "x"}
    entry = entry_of("evil", json.dumps(document))
    assert [(d.name, d.size) for d in entry.downloads] == [("scene.ply", "")]


@pytest.mark.parametrize("psnr", ["NaN", "Infinity", '"high"', "null", "true"])
def test_a_psnr_that_is_no_number_is_left_out(psnr: str) -> None:
    text = json.dumps(metrics("x")).replace("26.25", psnr)
    assert entry_of("x", text).psnr_db is None
