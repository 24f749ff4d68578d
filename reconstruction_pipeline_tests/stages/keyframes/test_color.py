"""Tone mapping against what FFmpeg made of the same numbers.

The reference: FFmpeg 5.1.9 with zimg, 16-bit RGB patches through
`zscale=tin=…:pin=bt2020:t=linear:npl=100:p=bt709, tonemap=hable:desat=0:peak=10, zscale=t=bt709`.
"""

from __future__ import annotations

import numpy as np
import pytest

from reconstruction_pipeline.stages.keyframes.color import HLG, PQ, to_bt709_primaries, tone_map

GREYS = (0, 8000, 20000, 32768, 49151, 58000)


@pytest.mark.parametrize(
    ("transfer", "expected"), [(HLG, (0, 32, 79, 124, 193, 231)), (PQ, (0, 20, 68, 153, 255, 255))], ids=["hlg", "pq"]
)
def test_greys_are_those_of_ffmpeg(transfer: int, expected: tuple[int, ...]) -> None:
    coded = np.repeat(np.array(GREYS, np.uint16)[None, :, None], 3, axis=2)
    mapped = tone_map(coded, transfer, 1000.0)
    assert np.abs(mapped[0].astype(int) - np.array(expected)[:, None]).max() <= 1


@pytest.mark.parametrize(
    ("coded", "expected"),
    [
        ((45000, 20000, 15000), (252, 0, 0)),
        ((15000, 45000, 20000), (0, 241, 0)),
        ((20000, 15000, 45000), (0, 0, 240)),
        ((60000, 50000, 30000), (255, 108, 0)),
    ],
)
def test_pq_colours_are_those_of_ffmpeg(coded: tuple[int, ...], expected: tuple[int, ...]) -> None:
    mapped = tone_map(np.array([[coded]], np.uint16), PQ, 1000.0)[0, 0]
    assert np.abs(mapped.astype(int) - expected).max() <= 1


def test_hlg_colours_keep_their_hue() -> None:
    """FFmpeg applies the system gamma to each channel, BT.2100 to luminance: only the order can agree."""
    for strongest, coded in enumerate([(45000, 20000, 15000), (15000, 45000, 20000), (20000, 15000, 45000)]):
        mapped = tone_map(np.array([[coded]], np.uint16), HLG)[0, 0].astype(int)
        assert mapped.argmax() == strongest
        assert 150 < mapped.max() < 200 and mapped.min() < 60


def test_a_brighter_master_leaves_the_rest_darker() -> None:
    grey = np.full((1, 1, 3), 30000, np.uint16)
    assert tone_map(grey, PQ, 4000.0)[0, 0, 0] < tone_map(grey, PQ, 1000.0)[0, 0, 0]


def test_wide_primaries_become_stronger_colours_and_grey_stays() -> None:
    picture = np.array([[[128, 128, 128], [180, 100, 100]]], np.uint8)
    for primaries in (9, 12):
        grey, red = to_bt709_primaries(picture, primaries)[0].astype(int)
        assert np.abs(grey - 128).max() <= 1
        assert red[0] > 180 and red[1] < 100
    assert to_bt709_primaries(picture, 1) is picture
