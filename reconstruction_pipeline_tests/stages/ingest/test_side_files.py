"""GPS logs and masks beside a capture, from the input to the keyframes."""

from __future__ import annotations

import math
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.gps import GpsFix, read_gps, write_gps
from reconstruction_pipeline.stages.ingest import content_sha256, ingest
from reconstruction_pipeline.stages.ingest.gps_logs import read_gps_log
from reconstruction_pipeline.stages.ingest.side_files import match_masks
from reconstruction_pipeline.stages.keyframes import select_keyframes
from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings
from reconstruction_pipeline_tests.stages.captures import sliding_frames, texture, write_video

# Three generations of DJI subtitles of the same place and height.
MAVIC_2 = """1
00:00:00,000 --> 00:00:00,033
<font size="36">SrtCnt : 1, DiffTime : 33ms
2019-05-11 12:05:06,123,456
[iso : 100] [shutter : 1/500.0] [latitude: {lat}] [longtitude: {lon}] [altitude: 61.500] </font>
"""
MAVIC_3 = """1
00:00:00,000 --> 00:00:00,033
<font size="28">FrameCnt: 1, DiffTime: 33ms
[focal_len: 24.00] [latitude: {lat}] [longitude: {lon}] [rel_alt: 1.300 abs_alt: 61.500] [ct: 5600] </font>
"""
MAVIC_AIR = """1
00:00:00,000 --> 00:00:01,000
F/2.8, SS 206.14, ISO 150, EV 0, DZOOM 1.000, GPS ({lon}, {lat}, 15), D 11.60m, H 61.50m, H.S 1.20m/s, V.S 0.00m/s
"""
PHANTOM = """1
00:00:00,000 --> 00:00:01,000
HOME(13.1800,55.6900) 2017.08.05 14:11:51
GPS({lon},{lat},16) BAROMETER:61.5
ISO:100 Shutter:60 EV: Fnum:2.2
"""
START = datetime(2024, 5, 4, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("text", [MAVIC_2, MAVIC_3, MAVIC_AIR, PHANTOM])
@pytest.mark.parametrize(("lat", "lon"), [(55.70123, 13.19456), (-33.8523, -151.2108)])
def test_the_subtitles_of_every_drone_are_read(text: str, lat: float, lon: float, tmp_path: Path) -> None:
    path = tmp_path / "video.srt"
    path.write_text(text.format(lat=lat, lon=lon))
    (fix,) = read_gps_log(path, None, 5.0)
    assert (fix.latitude, fix.longitude, fix.altitude_m, fix.time_s) == (lat, lon, 61.5, 0.0)


def gpx(points: int, start: datetime = START) -> str:
    rows = "".join(
        f'<trkpt lat="{55.7 + i * 1e-5}" lon="13.19"><ele>{40 + i}</ele>'
        f"<time>{datetime.fromtimestamp(start.timestamp() + i, UTC).isoformat().replace('+00:00', 'Z')}</time></trkpt>"
        for i in range(points)
    )
    return (
        f'<?xml version="1.0"?><gpx xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>{rows}</trkseg></trk></gpx>'
    )


def test_a_track_in_absolute_time_meets_the_video(tmp_path: Path) -> None:
    path = tmp_path / "video.gpx"
    path.write_text(gpx(61))
    alone = read_gps_log(path, None, 60.0)
    assert [alone[0].time_s, alone[-1].time_s] == [0.0, 60.0] and alone[3].altitude_m == 43.0
    within = read_gps_log(path, datetime(2024, 5, 4, 10, 0, 20, tzinfo=UTC), 10.0)
    assert [within[0].time_s, within[-1].time_s] == [-20.0, 40.0]
    with pytest.raises(InputRejected, match="do not meet"):
        read_gps_log(path, datetime(2020, 1, 1, tzinfo=UTC), 10.0)


def test_a_hostile_track_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "video.gpx"
    path.write_text('<?xml version="1.0"?><!DOCTYPE gpx [<!ENTITY a "aaaa">]><gpx><trk>&a;</trk></gpx>')
    with pytest.raises(InputRejected, match="entities"):
        read_gps_log(path, None, 10.0)


@pytest.mark.parametrize(
    "text",
    [
        "time,lat,lon,alt\n0,55.7,13.19,30.48\n1.5,55.8,13.19,30.48\n",
        "time(millisecond),latitude,longitude,altitude_above_seaLevel(feet)\n0,55.7,13.19,100\n1500,55.8,13.19,100\n",
        "Timestamp;Latitude;Longitude;Altitude [m]\n2024-05-04T10:00:00Z;55.7;13.19;30.48\n"
        "2024-05-04T10:00:01.5Z;55.8;13.19;30.48\n",
    ],
)
def test_tables_are_read_whatever_their_columns_are_called(text: str, tmp_path: Path) -> None:
    path = tmp_path / "video.csv"
    path.write_text(text)
    fixes = read_gps_log(path, START, 1.5)
    assert [(f.latitude, f.longitude, round(f.altitude_m, 2), f.time_s) for f in fixes] == [
        (55.7, 13.19, 30.48, 0.0),
        (55.8, 13.19, 30.48, 1.5),
    ]


def test_no_digit_is_lost_on_disk(tmp_path: Path) -> None:
    fixes = [GpsFix(55.123456789, -13.000000001, name="a.jpg"), GpsFix(0.1, 0.2, 3.25, 4.5, time_s=1234.567891)]
    write_gps(tmp_path / "gps.csv", fixes)
    first, second = read_gps(tmp_path / "gps.csv")
    assert (first.latitude, first.longitude, first.name) == (55.123456789, -13.000000001, "a.jpg")
    assert math.isnan(first.altitude_m) and math.isnan(first.time_s)
    assert second == fixes[1]


def test_a_log_beside_a_video_reaches_its_keyframes(tmp_path: Path) -> None:
    video = write_video(tmp_path / "flight.mp4", sliding_frames(40))
    bare = content_sha256(video)
    rows = [f"{t / 2},{55.7 + t * 1e-5!r},13.19,{50 + t}" for t in range(8)]
    (tmp_path / "flight.csv").write_text("\n".join(["time,lat,lon,alt", *rows]))
    source = ingest(video, tmp_path / "source")
    assert source.verdict.ok and not source.verdict.warnings
    assert source.media.suffix == ".mp4"
    assert source.metrics["sha256"] == content_sha256(video) == content_sha256(source.media) != bare
    assert "55.7" not in str(source.metrics) + str(source.verdict)
    keyframes = select_keyframes(source, KeyframeSettings(count=10), tmp_path / "keyframes")
    fixes = {fix.name: fix for fix in keyframes.gps()}
    for row in keyframes.table().to_dict("records"):
        fix = fixes[row["name"]]
        assert fix.latitude == pytest.approx(55.7 + 2e-5 * row["timestamp_s"], abs=1e-10)
        assert fix.altitude_m == pytest.approx(50 + 2 * row["timestamp_s"], abs=1e-4)


def test_plain_subtitles_and_broken_logs(tmp_path: Path) -> None:
    video = write_video(tmp_path / "flight.mp4", sliding_frames(20))
    (tmp_path / "flight.srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nHello.\n")
    assert not ingest(video, tmp_path / "a").verdict.warnings
    (tmp_path / "flight.srt").unlink()
    (tmp_path / "flight.gpx").write_text("<gpx><trk>")
    (warning,) = ingest(video, tmp_path / "b").verdict.warnings
    assert warning.name == "side_files" and warning.message.startswith("flight.gpx")


def with_gps(path: Path, image: np.ndarray, lat: tuple[float, ...], lon: tuple[float, ...]) -> None:
    exif = Image.Exif()
    exif[0x8825] = {1: "S", 2: lat, 3: "W", 4: lon, 5: b"\x01", 6: 12.5}
    Image.fromarray(image).save(path, exif=exif)


@pytest.fixture(scope="module")
def masked_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten photos with GPS; `masks/`: three by COLMAP's names, one by stem, one of no photo."""
    folder = tmp_path_factory.mktemp("set") / "photos"
    (folder / "masks").mkdir(parents=True)
    picture = texture(512, 5)
    for i in range(10):
        with_gps(folder / f"p{i}.jpg", picture[40:280, 8 * i : 8 * i + 320], (10.0, 30.0, 3.6), (20.0, 0.0, 36.0 * i))
    mask = np.full((240, 320), 255, np.uint8)
    mask[:, 200:] = 0
    for name in ("p0.jpg.png", "p1.jpg.png", "p2.jpg.png", "p3.png", "stray.jpg.png"):
        cv2.imwrite(str(folder / "masks" / name), mask)
    return folder


def test_photos_bring_their_positions_and_masks(masked_photos: Path, tmp_path: Path) -> None:
    source = ingest(masked_photos, tmp_path / "source")
    assert source.metrics["frames"] == 10, "masks are no photos"
    (warning,) = source.verdict.warnings
    assert warning.name == "side_files" and "stray" in warning.message
    fixes = {fix.name: fix for fix in source.gps()}
    assert fixes["p3.jpg"].latitude == pytest.approx(-10.501) and fixes["p3.jpg"].longitude == pytest.approx(-20.03)
    assert fixes["p3.jpg"].altitude_m == -12.5
    keyframes = select_keyframes(source, KeyframeSettings(), tmp_path / "keyframes")
    assert len(keyframes.table()) == 10
    assert [f.name for f in keyframes.gps()] == [f"p{i}.jpg" for i in range(10)]
    names = keyframes.table()["name"]
    masks = {name: np.asarray(Image.open(keyframes.path("masks", f"{name}.png"))) for name in names}
    assert [name for name in names if masks[name].min() == 0] == ["p0.jpg", "p1.jpg", "p2.jpg", "p3.jpg"]
    assert len(masks) == 10, "COLMAP wants one for every image"
    mask = np.asarray(Image.open(keyframes.path("masks", "p3.jpg.png")))
    assert mask.shape == (240, 320) and mask[:, :200].min() == 255 and mask[:, 200:].max() == 0


def test_a_zip_of_them_is_the_same_content(masked_photos: Path, tmp_path: Path) -> None:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(masked_photos.rglob("*")):
            file.write(path, f"photos/{path.relative_to(masked_photos)}")
    stored = ingest(archive, tmp_path / "source")
    assert content_sha256(archive) == content_sha256(masked_photos) == stored.metrics["sha256"]
    assert content_sha256(stored.media) == stored.metrics["sha256"], "and so is what was stored"


def test_masks_beside_a_folder_of_images(masked_photos: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for path in masked_photos.glob("*.jpg"):
        (tmp_path / "images" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "p4.jpg.png").write_bytes((masked_photos / "masks" / "p0.jpg.png").read_bytes())
    source = ingest(tmp_path / "images", tmp_path / "source")
    assert source.path("source", "masks", "p4.jpg.png").is_file()
    assert source.metrics["frames"] == 10


def test_masks_find_their_photos() -> None:
    found, strays = match_masks(
        ["images/a/1.jpg", "images/b/1.jpg", "2.PNG"],
        ["masks/a/1.jpg.png", "b/masks/1.png", "masks/2.png", "masks/3.png"],
    )
    assert found == {"images/a/1.jpg": "masks/a/1.jpg.png", "images/b/1.jpg": "b/masks/1.png", "2.PNG": "masks/2.png"}
    assert strays == ["masks/3.png"]


@pytest.mark.parametrize("as_stored", [True, False])
def test_masks_of_turned_photos(as_stored: bool, tmp_path: Path) -> None:
    """A portrait photo kept as landscape pixels; its mask follows the pixels as stored, or as seen."""
    from reconstruction_pipeline.stages.keyframes.side_data import write_mask

    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned a quarter clockwise
    Image.new("RGB", (64, 48)).save(tmp_path / "p.jpg", exif=exif)
    stored = np.zeros((48, 64), np.uint8)
    stored[:, :16] = 255  # the left of the stored pixels is the top of the picture
    Image.fromarray(stored if as_stored else np.rot90(stored, -1)).save(tmp_path / "m.png")
    write_mask(tmp_path / "out.png", tmp_path / "m.png", tmp_path / "p.jpg", (64, 48))
    result = np.asarray(Image.open(tmp_path / "out.png"))
    assert result.shape == (64, 48) and result[:16].min() == 255 and result[16:].max() == 0
    Image.new("L", (64, 64)).save(tmp_path / "m.png")
    with pytest.raises(InputRejected, match="shape"):
        write_mask(tmp_path / "out.png", tmp_path / "m.png", tmp_path / "p.jpg", (64, 48))
