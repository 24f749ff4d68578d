"""Paint: the same pattern at every density, decided by its key alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.sample.textures import fabric, pictures, printing, surfaces
from reconstruction_pipeline.sample.textures.canvas import Canvas, Paint, rgb

PAINTS = {
    "wood": surfaces.wood("#b98552", "#7a4c27"),
    "planks": surfaces.planks(),
    "painted_wall": surfaces.painted_wall("#8fa39b", "#4f6a66"),
    "leaf": surfaces.leaf("#3f6b3a", "#a9bf72"),
    "rug": fabric.rug(),
    "striped": fabric.striped(("#b65b3a", "#d9a45a", "#8a3f34")),
    "mountains": pictures.mountains(),
    "chart": pictures.chart(),
    "page": printing.page(),
    "cover": printing.cover("#8c2f2b", "#e8d9a8"),
}


def painted(paint: Paint, texels: int, key: str = "key") -> np.ndarray:
    return paint(Canvas(texels, texels, 1.2, 1.2, key, 5))


@pytest.mark.parametrize("name", PAINTS)
def test_a_coarse_texture_is_the_fine_one_seen_from_afar(name: str) -> None:
    fine, coarse = painted(PAINTS[name], 512), painted(PAINTS[name], 256)
    assert fine.dtype == coarse.dtype == np.float32
    assert fine.shape == (512, 512, 3)
    assert fine.min() >= 0
    reduced, also = (cv2.resize(t, (24, 24), interpolation=cv2.INTER_AREA).ravel() for t in (fine, coarse))
    assert np.corrcoef(reduced, also)[0, 1] > 0.9


@pytest.mark.parametrize("name", PAINTS)
def test_the_key_decides_everything(name: str) -> None:
    np.testing.assert_array_equal(painted(PAINTS[name], 128), painted(PAINTS[name], 128))
    assert not np.allclose(painted(PAINTS[name], 128), painted(PAINTS[name], 128, "other"))


@pytest.mark.parametrize("name", ["rug", "chart", "planks", "painted_wall"])
def test_no_pattern_repeats_or_mirrors(name: str) -> None:
    picture = painted(PAINTS[name], 256).mean(-1)
    centred = picture - picture.mean()
    for other in (centred[:, ::-1], centred[::-1], centred[::-1, ::-1], centred.T):
        assert (centred * other).mean() / centred.var() < 0.75


def test_colours_are_linear_light() -> None:
    np.testing.assert_allclose(rgb("#ffffff"), 1)
    np.testing.assert_allclose(rgb("#808080"), 0.2159, atol=1e-3)
