"""360° videos: cut into views with known rotations, measured as what they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.stages.ingest import ingest
from reconstruction_pipeline.stages.keyframes import KeyframeSettings, select_keyframes
from reconstruction_pipeline.stages.keyframes.panorama import PanoramaViews, for_panoramas, views_of
from reconstruction_pipeline_tests.stages.captures import sliding_frames, write_video
from reconstruction_pipeline_tests.stages.panorama_room import PanoramaRoom, Place, walk

WIDTH, FRAMES = 512, 20
SETTINGS = KeyframeSettings(count=30, projection="equirectangular")


@pytest.fixture(scope="module")
def room() -> PanoramaRoom:
    return PanoramaRoom(WIDTH)


@pytest.fixture(scope="module")
def video(room: PanoramaRoom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [room.render(place) for place in walk(FRAMES)]
    return write_video(tmp_path_factory.mktemp("walk") / "around.mp4", frames)


@pytest.mark.parametrize("poles", [False, True])
def test_views_see_where_their_rotations_say(poles: bool) -> None:
    """Of a panorama whose colours are its directions."""
    height = WIDTH // 2
    longitude = 2 * np.pi * ((np.arange(WIDTH) + 0.5) / WIDTH - 0.5)
    latitude = np.pi * ((np.arange(height) + 0.5) / height - 0.5)
    level = np.cos(latitude)[:, None]
    down = np.broadcast_to(np.sin(latitude)[:, None], (height, WIDTH))
    directions = np.stack([np.sin(longitude) * level, down, np.cos(longitude) * level], axis=-1)
    panorama = np.rint(127.5 + 127.5 * directions).astype(np.uint8)
    views = PanoramaViews.of(WIDTH, 6, poles, 1024)
    assert views.size == round(WIDTH / np.pi) and len(views.rotations) == (8 if poles else 6)
    x, y = np.meshgrid(np.arange(views.size) + 0.5, np.arange(views.size) + 0.5)
    rays = np.stack([(x - views.size / 2) / views.focal_px, (y - views.size / 2) / views.focal_px, np.ones_like(x)], -1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    for rotation, view in zip(views.rotations, views.cut(panorama), strict=True):
        assert np.abs((view / 127.5 - 1) - rays @ rotation).max() < 0.02


def test_a_walk_is_cut_into_views_that_move_as_one(video: Path, tmp_path: Path) -> None:
    mask = np.full((WIDTH // 2, WIDTH, 3), 255, np.uint8)
    mask[-80:] = 0  # where the camera man stands
    write_video(video.with_name("around_mask.mp4"), [mask] * FRAMES)
    source = ingest(video, tmp_path / "source")
    result = select_keyframes(source, SETTINGS, tmp_path / "keyframes")
    result.validate()
    assert result.verdict.ok, [gate.message for gate in result.verdict.gates if not gate.passed]
    rig, table = result.rig(), result.table()
    assert rig and rig.rotations.shape == (6, 3, 3)
    assert len(rig.shots) == 10 and {name for shot in rig.shots for name in shot} == set(table["name"])
    assert rig.shots[0] == tuple(f"00001_{view}.jpg" for view in range(6))
    assert table["focal_px"].nunique() == 1 and table["width"][0] == round(WIDTH / np.pi)
    assert result.metrics["projection"] == "equirectangular" and result.metrics["selected"] == len(table)
    for name in rig.shots[3]:
        path = result.mask_path(name)
        assert path
        levels = np.asarray(Image.open(path))
        assert levels.shape == (table["height"][0], table["width"][0])
        assert (levels[0] == 255).all() and levels[-1, levels.shape[1] // 2] == 0


def test_turning_in_one_place_is_no_way(room: PanoramaRoom, tmp_path: Path) -> None:
    places = [Place(np.zeros(3), place.rotation) for place in walk(16, turn_deg=100.0)]
    path = write_video(tmp_path / "turning.mp4", [room.render(place) for place in places])
    result = select_keyframes(ingest(path, tmp_path / "source"), SETTINGS, tmp_path / "keyframes")
    blocking = [gate.name for gate in result.verdict.gates if not gate.passed and gate.severity == "block"]
    assert blocking == ["not_static"]


def test_marks_are_believed_and_overruled() -> None:
    wide = {"width": 1024, "height": 512}
    marked = {**wide, "projection": "equirectangular"}
    usual = KeyframeSettings()
    assert views_of(wide, usual) is None and views_of(marked, replace(usual, projection="flat")) is None
    views = views_of(marked, usual)
    assert views and (views.size, len(views.rotations)) == (326, 6)
    assert for_panoramas(usual, views).count == 21


def test_what_is_not_all_around_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "flat.mp4", sliding_frames(20, 160, 96))
    with pytest.raises(InputRejected, match=r"flat\.mp4: 160x96 is no equirectangular picture"):
        select_keyframes(ingest(path, tmp_path / "source"), SETTINGS, tmp_path / "keyframes")
