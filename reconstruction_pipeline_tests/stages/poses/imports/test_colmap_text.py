"""Models in text form as different programs write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap_text import count_images, read_text_model
from reconstruction_pipeline.artifacts.errors import InvalidArtifact

CAMERAS = "# Camera list\n7 OPENCV 640 480 500 501 320 240 0.1 -0.05 0.001 0\n"
HALF = "0.7071067811865476 0 0.7071067811865476 0 1 2 3 7"


def model(folder: Path, images: str, points: str | None = None, cameras: str = CAMERAS) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "cameras.txt").write_text(cameras)
    (folder / "images.txt").write_text(images)
    if points is not None:
        (folder / "points3D.txt").write_text(points)
    return folder


def test_observations_are_tied_to_points(tmp_path: Path) -> None:
    points = "# 3D point list\n31 0 0 1 255 0 7 0.5 2 0\n9 1 1 2 1 2 3 0.25 2 1 4 0\n"
    images = f"# Image list\n2 {HALF} b.jpg\n10.5 20.5 9 11 12 -1 30 40 31\n4 {HALF} a.jpg\n5 6 9\n"
    found = read_text_model(model(tmp_path, images, points))
    assert [image.name for image in found.images] == ["a.jpg", "b.jpg"]
    b = found.images[1]
    np.testing.assert_array_equal(b.xy, [[10.5, 20.5], [30, 40]])
    np.testing.assert_array_equal(found.xyz[b.point_rows], [[1, 1, 2], [0, 0, 1]])
    np.testing.assert_array_equal(found.rgb, [[255, 0, 7], [1, 2, 3]])
    np.testing.assert_array_equal(found.track_lengths, [1, 2])
    # 90 degrees about y: the camera looks along +x of the world, its centre is -R^T t.
    np.testing.assert_allclose(b.rotation @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(b.center, [3, -2, -1], atol=1e-12)
    assert found.cameras[7].params == (500, 501, 320, 240, 0.1, -0.05, 0.001, 0)


@pytest.mark.parametrize("gap", ["\n\n", "\n", "\r\n\r\n"])
def test_exports_without_points_or_observation_lines(tmp_path: Path, gap: str) -> None:
    """RealityCapture and Metashape leave the line of observations empty, others leave it out."""
    names = ["IMG 1.JPG", "0002", "sub/ü 3.png", "4 5 6"[:1] + ".png"]
    images = "".join(f"{n} {HALF} {name}{gap}" for n, name in enumerate(names, 1))
    folder = model(tmp_path, images)
    found = read_text_model(folder)
    assert sorted(names) == [image.name for image in found.images]
    assert count_images(folder) == 4 and len(found.xyz) == 0


@pytest.mark.parametrize(
    ("cameras", "images", "says"),
    [
        (CAMERAS, "1 1 0 0 0 0 0 x 7 a.png\n", "images.txt, line 1"),
        (CAMERAS, f"1 {HALF} a.png\n1 2\n", "line 2"),
        (CAMERAS, "1 2 3\n", "line 1"),
        (CAMERAS, "1 0 0 0 0 1 2 3 7 a.png\n", "the pose is not"),
        (CAMERAS, "1 nan 0 0 0 1 2 3 7 a.png\n", "the pose is not"),
        (CAMERAS, "1 1 0 0 0 1 2 3 8 a.png\n", "camera 8"),
        ("1 OPENCV 640 480 500 500 320 240\n", "", "OPENCV takes 8"),
        ("1 LIGHTFIELD 640 480 500\n", "", "cameras.txt, line 1"),
        (CAMERAS, "\x00\xff", "images.txt"),
    ],
)
def test_damage_names_its_line(tmp_path: Path, cameras: str, images: str, says: str) -> None:
    with pytest.raises(InvalidArtifact, match=says):
        read_text_model(model(tmp_path, images, cameras=cameras))
