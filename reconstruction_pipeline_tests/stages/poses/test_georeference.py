"""Scenes in metres: geodesy against known values, GPS fits against truth, known lengths."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import ColmapModel, rotation_of
from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.artifacts.gps import GpsFix
from reconstruction_pipeline.kernels.geodesy import LocalFrame, ecef_of, geodetic_of
from reconstruction_pipeline.stages.poses.geometry import Similarity, move, upright
from reconstruction_pipeline.stages.poses.georeference import georeference
from reconstruction_pipeline.stages.poses.known_length import check_known_length, height_over_floor, known_scale
from reconstruction_pipeline.stages.poses.places import Places
from reconstruction_pipeline.stages.poses.settings import PoseSettings
from reconstruction_pipeline_tests.stages.poses.test_estimate_poses import write_keyframes
from reconstruction_pipeline_tests.stages.poses.test_geometry import orbit_model

LUND = LocalFrame(55.7, 13.19, 40.0)
UP = np.array([0.0, -1.0, 0.0])


def test_geodesy_agrees_with_known_places() -> None:
    places = np.array([[0.0, 0, 0], [0, 90, 0], [90, 0, 0], [-90, 0, 10], [45, 45, 1000]])
    # The semi-axes of WGS84, and a point between them at 1000 m.
    known = np.array(
        [
            [6378137.0, 0, 0],
            [0, 6378137.0, 0],
            [0, 0, 6356752.314245],
            [0, 0, -6356762.314245],
            [3194919.145, 3194919.145, 4488055.516],
        ]
    )
    assert np.allclose(ecef_of(places), known, atol=1e-3)
    rng = np.random.default_rng(0)
    anywhere = np.column_stack(
        [rng.uniform(-89.9, 89.9, 200), rng.uniform(-180, 180, 200), rng.uniform(-400, 9e3, 200)]
    )
    back = geodetic_of(ecef_of(anywhere))
    assert np.allclose(back[:, :2], anywhere[:, :2], atol=1e-9) and np.allclose(back[:, 2], anywhere[:, 2], atol=1e-4)


def test_the_local_frame_points_east_north_and_up() -> None:
    # One arc second of latitude is 30.9 m near 55.7 degrees north, one of longitude 17.5 m.
    east, north, up = LUND.enu(np.array([[55.7 + 1 / 3600, 13.19 + 1 / 3600, 47.0]]))[0]
    assert (round(east, 1), round(north, 1), round(up, 1)) == (17.5, 30.9, 7.0)
    away = np.array([[120.0, -300.0, 15.0]])
    assert np.allclose(LUND.enu(LUND.geodetic(away)), away, atol=1e-6)


def filmed(
    model: ColmapModel, metres: Similarity, noise_m: float, seed: int = 0, said: float = math.nan
) -> list[GpsFix]:
    """GPS of the model's images, whose scene `metres` takes to (east, down, north) metres around LUND."""
    rng = np.random.default_rng(seed)
    east, down, north = (metres.points(model.centers) + noise_m * rng.normal(size=(len(model.images), 3))).T
    at = LUND.geodetic(np.column_stack([east, north, -down]))
    names = [image.name for image in model.images]
    return [GpsFix(lat, lon, up, said, name) for name, (lat, lon, up) in zip(names, at.tolist(), strict=True)]


def heading(degrees: float) -> np.ndarray:
    return rotation_of((np.cos(np.radians(degrees) / 2), 0, np.sin(np.radians(degrees) / 2), 0))


@pytest.mark.parametrize(("noise_m", "tolerance_m"), [(0.0, 1e-3), (0.5, 0.6)])
def test_gps_gives_metres_heading_and_origin(noise_m: float, tolerance_m: float) -> None:
    truth = Similarity(9.0, heading(130), np.array([25.0, -3.0, 60.0]))
    model = orbit_model(views=30, sweep=4.0)
    fixes = filmed(model, truth, noise_m, said=max(noise_m, 0.05))
    found = georeference(model, fixes, tilt_deg=2.0)
    assert found.similarity is not None and found.document is not None and found.metrics["georeferenced"]
    east, down, north = found.similarity.points(model.centers).T
    origin = LocalFrame(*(found.document["origin"][k] for k in ("latitude", "longitude", "altitude_m")))
    at = LUND.enu(origin.geodetic(np.column_stack([east, north, -down])))
    expected = truth.points(model.centers)[:, [0, 2, 1]] * [1, 1, -1]
    assert np.linalg.norm(at - expected, axis=1).max() < tolerance_m
    assert found.similarity.scale == pytest.approx(9.0, rel=0.02)
    assert np.abs(np.median(found.similarity.points(model.xyz), axis=0)).max() < 0.1, "the origin is in the scene"
    assert found.metrics["gps_rmse_m"] < max(2 * noise_m, 1e-3)
    assert found.gates[0].passed


def test_no_number_or_sentence_tells_the_place() -> None:
    model = orbit_model(views=12)
    found = georeference(model, filmed(model, Similarity(9.0, np.eye(3), np.zeros(3)), 0.1, said=0.1), 2.0)
    told = json.dumps([found.metrics, [gate.message for gate in found.gates]])
    assert "55.7" not in told and "13.1" not in told


def test_glitches_of_the_receiver_do_no_harm() -> None:
    truth = Similarity(12.0, heading(-50), np.zeros(3))
    model = orbit_model(views=30, sweep=4.0)
    fixes = filmed(model, truth, 0.5, said=1.0)
    for row in (3, 11, 17, 25):
        fixes[row] = replace(fixes[row], latitude=fixes[row].latitude + 0.002)
    found = georeference(model, fixes, 2.0)
    assert found.similarity is not None and found.similarity.scale == pytest.approx(12.0, rel=0.02)
    assert found.metrics["gps_outliers"] == 4


def test_a_straight_way_is_enough_since_gravity_is_known() -> None:
    model = orbit_model(views=20, sweep=0.0)
    images = []
    for i, image in enumerate(model.images):
        center = np.array([0.3 * i, -1.0, 0.0])
        images.append(replace(image, translation=-image.rotation @ center))
    model = replace(model, images=tuple(images))
    found = georeference(model, filmed(model, Similarity(8.0, heading(40), np.zeros(3)), 0.3, said=0.5), 2.0)
    assert found.similarity is not None and found.similarity.scale == pytest.approx(8.0, rel=0.05)
    tilt = np.degrees(np.arccos(found.similarity.rotation[1, 1]))
    assert tilt < 2.0


@pytest.mark.parametrize(
    ("scale", "noise_m", "images", "why"),
    [(0.5, 0.2, 30, "cannot measure"), (9.0, 0.1, 4, "at least 5"), (9.0, 14.0, 30, "disagree|cannot measure")],
)
def test_what_gps_cannot_tell_is_said(scale: float, noise_m: float, images: int, why: str) -> None:
    model = orbit_model(views=30, sweep=4.0)
    fixes = filmed(model, Similarity(scale, np.eye(3), np.zeros(3)), noise_m)[:images]
    found = georeference(model, fixes, 2.0)
    assert found.similarity is None and found.document is None
    (gate,) = found.gates
    assert gate.severity == "warn" and not gate.passed
    assert any(part in gate.message for part in why.split("|"))


def test_a_scene_of_another_shape_is_not_placed() -> None:
    model = orbit_model(views=30, sweep=4.0)
    fixes = filmed(model, Similarity(9.0, np.eye(3), np.zeros(3)), 0.1, said=1.0)
    rng = np.random.default_rng(1)
    shuffled = [replace(fix, name=fixes[row].name) for fix, row in zip(fixes, rng.permutation(30), strict=True)]
    found = georeference(model, shuffled, 2.0)
    assert found.similarity is None
    assert "disagree" in found.gates[0].message


def test_without_gps_nothing_is_said() -> None:
    assert georeference(orbit_model(), [], 2.0).gates == ()


def test_known_lengths_give_metres() -> None:
    model = orbit_model(views=10, sweep=2.0)
    names = [image.name for image in model.images]
    way = float(np.linalg.norm(np.diff(model.centers, axis=0), axis=1).sum())
    by_way = known_scale(model, Places(names), True, PoseSettings(path_length_m=2 * way))
    assert by_way is not None and by_way.scale == pytest.approx(2.0)
    apart = float(np.linalg.norm(model.centers[0] - model.centers[9]))
    by_distance = known_scale(model, Places(names), False, PoseSettings(known_distance=(names[0], names[9], 3 * apart)))
    assert by_distance is not None and by_distance.scale == pytest.approx(3.0)
    assert known_scale(model, Places(names), True, PoseSettings()) is None
    for refused in (
        known_scale(model, Places([*names, "lost.jpg"]), True, PoseSettings(path_length_m=4.0)),
        known_scale(model, Places(names), False, PoseSettings(path_length_m=4.0)),
        known_scale(model, Places(names), True, PoseSettings(known_distance=(names[0], "lost.jpg", 4.0))),
    ):
        assert refused is not None and refused.scale is None and not refused.gate.passed


def test_the_height_over_a_floor() -> None:
    rng = np.random.default_rng(0)
    model = orbit_model(views=10)
    floor = np.column_stack([rng.uniform(-3, 3, 300), 0.9 + 0.005 * rng.normal(size=300), rng.uniform(-3, 3, 300)])
    with_floor = replace(model, xyz=np.vstack([model.xyz, floor]))
    assert height_over_floor(with_floor) == pytest.approx(3.2, abs=0.02)
    metric = known_scale(with_floor, Places([]), True, PoseSettings(camera_height_m=1.6))
    assert metric is not None and metric.scale == pytest.approx(0.5, rel=0.01)
    scattered = replace(model, xyz=rng.uniform([-3, -2, -3], [3, 30, 3], (400, 3)))
    assert height_over_floor(scattered) is None


@pytest.mark.parametrize(
    "settings",
    [
        PoseSettings(camera_height_m=1.5, path_length_m=3.0),
        PoseSettings(path_length_m=-1.0),
        PoseSettings(known_distance=("a.jpg", "z.jpg", 1.0)),
        PoseSettings(known_distance=("0s", "2s", 1.0)),
    ],
)
def test_senseless_lengths_are_refused_at_once(settings: PoseSettings) -> None:
    with pytest.raises(UsageError):
        check_known_length(settings, Places(["a.jpg", "b.jpg"]))


def test_a_known_scale_is_kept_where_gps_gives_the_place() -> None:
    model = orbit_model(views=30, sweep=4.0)
    placed = move(model, upright(model, UP))
    fixes = filmed(placed, Similarity(20.0, heading(10), np.zeros(3)), 0.5, said=1.0)
    found = georeference(placed, fixes, 2.0, scale=19.5)
    assert found.similarity is not None and found.similarity.scale == 19.5


def test_places_have_the_names_that_people_give_them() -> None:
    model = orbit_model(views=4, sweep=2.0)
    names = [image.name for image in model.images]
    places = Places(
        names, {"day 1/IMG_7.jpg": names[1], "IMG_7.jpg": names[1]}, dict(zip(names, (0.0, 1, 2, 3), strict=True))
    )
    for text in (names[2], "IMG_7.jpg", "day 1/IMG_7.jpg", "0s", "1.25 s", "3.0s"):
        places.check(text)
    for text, why in (("4s", "from 0.0 s to 3.0 s"), ("IMG_8.jpg", "no keyframe"), ("yesterday", "no keyframe")):
        with pytest.raises(UsageError, match=why):
            places.check(text)
    centers = model.centers
    assert np.allclose(places.center(model, "IMG_7.jpg"), centers[1])
    assert np.allclose(places.center(model, "1.25s"), 0.75 * centers[1] + 0.25 * centers[2])
    assert np.allclose(places.center(model, "3s"), centers[3])
    without = replace(model, images=model.images[:2])
    assert places.center(without, "1.25s") is None, "the keyframe after it was not placed"
    with pytest.raises(UsageError):
        Places(names).check("1s")  # photos have no moments
    both = known_scale(model, places, True, PoseSettings(known_distance=("0s", "IMG_7.jpg", 5.0)))
    assert both is not None and both.scale == pytest.approx(5.0 / np.linalg.norm(centers[0] - centers[1]))


def test_places_come_from_the_keyframes(tmp_path: Path) -> None:
    pictures = [np.zeros((6, 8, 3), np.uint8)] * 3
    video = Places.of(write_keyframes(tmp_path / "video", pictures))
    assert dict(video.times_s) == {"00000.jpg": 0.0, "00001.jpg": 0.1, "00002.jpg": 0.2}
    photos = write_keyframes(tmp_path / "photos", pictures, ordered=False)
    table = photos.table().assign(photo=["a/IMG 1.png", "a/IMG 2.png", "b/IMG 1.png"])
    table.to_csv(photos.path("keyframes.csv"), index=False)
    places = Places.of(photos)
    assert places.times_s == {}
    assert places.photos == {
        "a/IMG 1.png": "00000.jpg",
        "a/IMG 2.png": "00001.jpg",
        "b/IMG 1.png": "00002.jpg",
        "IMG 2.png": "00001.jpg",
    }, "a name that two folders have means neither"
