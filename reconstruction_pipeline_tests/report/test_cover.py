from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts.colmap import write_model
from reconstruction_pipeline.report.cover import cover_of
from reconstruction_pipeline.report.pictures import save
from reconstruction_pipeline_tests.report import scenes

COLOURS = ((200, 30, 30), (30, 200, 30), (30, 30, 200))


def comparison(path: Path, panels: int, size: tuple[int, int], colours: tuple[tuple[int, int, int], ...]) -> None:
    """Plain pictures side by side: red is the photograph, green the render."""
    width, height = size
    picture = np.concatenate([np.full((height, width, 3), colour, np.uint8) for colour in colours[:panels]], axis=1)
    Image.fromarray(picture).save(path, quality=95, subsampling=0)


@pytest.mark.parametrize("panels", [2, 3])
def test_the_cover_is_the_render_and_not_the_photograph(tmp_path: Path, panels: int) -> None:
    artifacts = scenes.line(tmp_path)
    for path in artifacts["gaussian_splats"].path("comparisons").glob("*.jpg"):
        comparison(path, panels, (160, 90), COLOURS)
    cover = cover_of(scenes.inputs(artifacts))
    assert cover is not None and cover.size == (160, 90)
    assert np.abs(np.asarray(cover, int) - COLOURS[1]).max() < 12


def test_the_cover_shows_the_view_that_sees_most(tmp_path: Path) -> None:
    artifacts = scenes.line(tmp_path)
    poses = artifacts["camera_poses"]
    model = poses.model()  # type: ignore[attr-defined]
    rows = np.arange(50)
    seen = [
        replace(i, xy=np.zeros((50, 2)), point_rows=rows) if i.name == scenes.NAMES[16] else i for i in model.images
    ]
    write_model(poses.path("sparse", "0"), replace(model, images=tuple(seen)))
    for path in artifacts["gaussian_splats"].path("comparisons").glob("*.jpg"):
        blue = path.name == scenes.NAMES[16]
        comparison(path, 2, (160, 90), (COLOURS[0], COLOURS[2] if blue else COLOURS[1]))
    cover = cover_of(scenes.inputs(artifacts))
    assert cover is not None and np.abs(np.asarray(cover, int) - COLOURS[2]).max() < 12


def test_without_a_render_the_cover_is_a_frame(tmp_path: Path) -> None:
    artifacts = scenes.line(tmp_path, 2)
    cover = cover_of(scenes.inputs(artifacts))
    assert cover is not None and cover.size == (160, 90)
    save(cover, tmp_path / "cover.jpg")
    with Image.open(tmp_path / "cover.jpg") as written:
        assert not written.getexif() and not {"exif", "comment", "icc_profile"} & set(written.info)


def test_unreadable_pictures_are_passed_over(tmp_path: Path) -> None:
    artifacts = scenes.line(tmp_path)
    for path in artifacts["gaussian_splats"].path("comparisons").glob("*.jpg"):
        path.write_bytes(b"no picture")
    frame = cover_of(scenes.inputs({name: artifacts[name] for name in ("source_video", "keyframes")}))
    cover = cover_of(scenes.inputs(artifacts))
    assert frame is not None and cover is not None and cover.tobytes() == frame.tobytes()


def test_nothing_to_show(tmp_path: Path) -> None:
    assert cover_of(scenes.inputs({})) is None
    assert cover_of(scenes.inputs(scenes.line(tmp_path, 1))) is None
