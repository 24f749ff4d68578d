from __future__ import annotations

import math

import pytest

from reconstruction_pipeline.report import plain, svg, words
from reconstruction_pipeline.report.sections.pieces import caption


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.04, "0.0 s"),
        (9.949, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (252, "4 min 12 s"),
        (3900, "1 h 05 min"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(812, "812 B"), (13_900, "13.9 kB"), (999_990, "1.0 MB"), (612_345, "612 kB"), (3.14e9, "3.1 GB")],
)
def test_size(count: float, text: str) -> None:
    assert words.size(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (150.4, "150"),
        (1234.5, "1,234"),
        (0.0, "0"),
        (0.43, "0.43"),
        (0.0312, "0.0312"),
        (6.10, "6.1"),
        (-2.5, "-2.5"),
        (math.nan, "–"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(("seconds", "figure"), [(38.2, ("38", "s")), (252, ("4:12", "min")), (3900, ("1:05", "h"))])
def test_clock(seconds: float, figure: tuple[str, str]) -> None:
    assert words.clock(seconds) == figure


def test_names_for_people() -> None:
    assert words.sentence_case("sog_psnr_loss") == "SOG PSNR loss"
    assert words.listed(["a", "b", "c"]) == "a, b and c"


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 0.37), (-3.0, 12.0), (1e4, 9e6), (0.0, 1e-5)])
def test_ticks_are_round_few_and_inside(low: float, high: float) -> None:
    marks = svg.ticks(low, high)
    assert 2 <= len(marks) <= 7
    assert all(low - 1e-9 <= mark <= high * (1 + 1e-9) for mark in marks)


def test_private_keys_and_lines_are_left_out() -> None:
    metrics = {"points": 3, "gps_latitude": 55.7, "camera_model": "X", "latency_s": 1.0}
    metrics["origin"] = {"lat": 1, "scale": 2.0}
    assert plain.plain(metrics) == {"points": 3, "origin": {"scale": 2.0}, "latency_s": 1.0}
    log = plain.without_private_lines("one\nGPS: LAT=55.7\nGPS: LON=13\nModel: Phone 12\ntwo")
    assert "55.7" not in log and "Phone" not in log and log.startswith("one\n") and log.endswith("\ntwo")


@pytest.mark.parametrize(
    ("stem", "says"),
    [
        ("off_path", "Beside the filmed path"),
        ("sog_vs_ply", "The held-out view that SOG changes most"),
        ("compressed.ply_vs_ply", "compressed PLY changes most"),
        ("mesh_turn", "Turned"),
        ("mesh_view_2", "View 2"),
    ],
)
def test_captions_of_previews_are_for_people(stem: str, says: str) -> None:
    assert says in caption(stem) and "_" not in caption(stem)
