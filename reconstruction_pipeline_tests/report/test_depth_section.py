from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from reconstruction_pipeline.report.sections.depth import colourise, depth_maps
from reconstruction_pipeline_tests.report import scenes


def test_near_is_warm_far_is_cool_unknown_is_grey() -> None:
    depth = np.array([[0.0, 1.0, 2.0, 50.0]], np.float32)
    unknown, near, _, far = colourise(depth)[0].astype(int)
    assert np.ptp(unknown) == 0
    assert near[0] > near[2] + 100 and far[2] > far[0] + 80
    assert np.ptp(colourise(np.zeros((2, 3), np.float32))) == 0


def test_every_map_stands_right_of_its_own_image(tmp_path: Path) -> None:
    artifacts = scenes.line(tmp_path, 4)
    section = depth_maps(scenes.inputs(artifacts))
    assert section is not None and section.troubles == []
    assert [p.caption for p in section.pictures] == [scenes.NAMES[row].removesuffix(".jpg") for row in (0, 12, 24)]
    data = base64.b64decode(section.pictures[1].uri.partition(",")[2])
    pair = np.asarray(Image.open(io.BytesIO(data)), float)
    image = np.asarray(Image.open(artifacts["camera_poses"].path("images", scenes.NAMES[12])), float)
    assert pair.shape == (90, 324, 3)
    assert np.abs(pair[:, :160] - image).mean() < 12
    assert pair[:, 165:185, 0].mean() > pair[:, 165:185, 2].mean() + 50, "the ramp is near on its left"
    assert pair[:, -20:, 2].mean() > pair[:, -20:, 0].mean() + 50


def test_previews_stand_in_where_the_images_are_not_at_hand(tmp_path: Path) -> None:
    section = depth_maps(scenes.inputs({"depth_maps": scenes.depth_maps(tmp_path)}))
    assert section is not None and [p.caption for p in section.pictures] == ["Strip"]
