from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, PosedImage
from reconstruction_pipeline.report.camera_path import COVERAGE_COLOURS, coverage_view, path_views


def model_of(centers: np.ndarray, xyz: np.ndarray, rgb: np.ndarray) -> ColmapModel:
    """Cameras that all look along +Z."""
    none = (np.zeros((0, 2)), np.zeros(0, np.int64))
    images = tuple(PosedImage(f"{i}.jpg", 1, (1, 0, 0, 0), np.eye(3), -c, *none) for i, c in enumerate(centers))
    camera = {1: Camera("PINHOLE", 10, 10, (9.0, 9.0, 5.0, 5.0))}
    return ColmapModel(camera, images, xyz, rgb, np.ones(len(xyz)), np.full(len(xyz), 2))


def ends(svg: str) -> dict[str, np.ndarray]:
    found = re.findall(r'class="end (start|end)" cx="([-\d.]+)" cy="([-\d.]+)"', svg)
    return {name: np.array([float(x), float(y)]) for name, x, y in found}


def dot(svg: str, colour: str) -> np.ndarray:
    return np.array([float(v) for v in re.search(rf'stroke="rgb\({colour}\)" d="M(-?\d+) (-?\d+)', svg).groups()])


def test_neither_view_is_mirrored() -> None:
    """Walking along +X: from above what is ahead (+Z) is up on the page, from the side what is low (+Y) is down."""
    centers = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    xyz = np.array([[1.0, 0, 2], [1.0, 1.5, 1], [0.2, -1.5, -2]])
    rgb = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    # The outer points may lie outside the bulk that is drawn: repeat them.
    above, side = path_views(model_of(centers, np.repeat(xyz, 40, 0), np.repeat(rgb, 40, 0)), ordered=True)
    for view in (above, side):
        assert ends(view)["start"][0] < ends(view)["end"][0]
    assert dot(above, "255,0,0")[1] < ends(above)["start"][1]
    assert dot(above, "0,0,255")[1] > ends(above)["start"][1]
    assert dot(side, "0,255,0")[1] > ends(side)["start"][1]
    assert dot(side, "0,0,255")[1] < ends(side)["start"][1]


def test_the_path_lies_along_the_page_whatever_its_direction() -> None:
    centers = np.array([[0.0, 0, 0], [-1, 0, -3], [-2, 0, -6]])
    above, _ = path_views(model_of(centers, np.zeros((0, 3)), np.zeros((0, 3), np.uint8)), ordered=True)
    start, end = ends(above)["start"], ends(above)["end"]
    assert end[0] - start[0] > 300 and abs(end[1] - start[1]) < 1


def test_photos_have_no_path_and_one_image_is_enough() -> None:
    above, side = path_views(model_of(np.zeros((1, 3)), np.zeros((0, 3)), np.zeros((0, 3), np.uint8)), ordered=False)
    for view in (above, side):
        assert "polyline" not in view and view.count('class="dot first"') == 1 and "nan" not in view


def test_coverage_colours_points_by_the_images_that_see_them() -> None:
    centers = np.array([[0.0, 0, -2], [1, 0, -2]])
    xyz = np.array([[0.0, 0, 0], [0.25, 0, 0], [0.5, 0, 0], [0.75, 0, 0], [1.0, 0, 0]])
    model = replace(model_of(centers, xyz, np.zeros((5, 3), np.uint8)), track_lengths=np.array([2, 3, 9, 10, 44]))
    svg = coverage_view(model)
    at = [dot(svg, ",".join(map(str, colour)))[0] for colour in COVERAGE_COLOURS]
    assert at == sorted(at) and len(set(at)) == 4
    assert svg.count('class="cloud"') == 4
