from __future__ import annotations

import json
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts.errors import InputRejected, UsageError
from reconstruction_pipeline.stages.ingest import IngestLimits, content_sha256, ingest, probe
from reconstruction_pipeline_tests.stages.captures import real_capture, sliding_frames, write_video


def write_photos(folder: Path, count: int, suffix: str = ".jpg") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, frame in enumerate(sliding_frames(count, 96, 64)):
        Image.fromarray(frame).save(folder / f"{i:03d}{suffix}")
    return folder


def zipped(folder: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, prefix + file.name)
    return target


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "walk.mp4", sliding_frames(20, 160, 96))


def test_a_video_is_described_as_people_see_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "turned.mp4", sliding_frames(20, 160, 96), rotation_deg=90)
    found = probe(path)
    assert (found.kind, found.codec, found.width, found.height) == ("video", "h264", 96, 160)
    assert abs(found.rotation_deg) == 90
    assert found.frames == 20
    assert found.duration_s == pytest.approx(20 / 15, abs=0.01)


def test_a_container_without_frame_counts_is_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "walk.mkv", sliding_frames(20, 160, 96))
    found = probe(path)
    assert found.frames == 20
    assert found.duration_s == pytest.approx(20 / 15, rel=0.1)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.mp4", b"", "empty"),
        ("text.mp4", b"this is no video at all", "not a readable video"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "not a readable video"),
        ("broken.zip", b"PK\x03\x04" + b"x" * 50, "zip"),
    ],
)
def test_what_is_no_capture_is_refused(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputRejected, match=says) as caught:
        probe(path)
    assert str(caught.value).startswith(name)
    assert "\n" not in str(caught.value)


def test_one_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "photo.mp4"
    Image.fromarray(sliding_frames(1)[0]).save(path, format="JPEG")
    with pytest.raises(InputRejected, match="one JPEG picture"):
        probe(path)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "voice.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 16000
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(InputRejected, match="only sound"):
        probe(path)


def test_too_little_says_how_much_is_needed(tmp_path: Path) -> None:
    short = write_video(tmp_path / "short.mp4", sliding_frames(5, 160, 96))
    with pytest.raises(InputRejected, match=r"5 frames over 0\.33 s.*at least 8 frames and 1 s"):
        probe(short)


def test_a_missing_index_is_named(video: Path) -> None:
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 6 // 10])
    with pytest.raises(InputRejected, match="moov"):
        probe(video)


def test_a_missing_path_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        probe(tmp_path / "nowhere.mp4")


def test_photos_in_a_folder(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 9)
    (folder / "notes.txt").write_text("ignored")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 not really")
    found = probe(folder)
    assert (found.kind, found.frames, found.width, found.height) == ("photos", 9, 96, 64)
    assert found.unusable == ("broken.jpg",)


def test_too_few_photos(tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match=r"3 usable photos.*at least 8"):
        probe(write_photos(tmp_path / "photos", 3))


def test_other_folders_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.dng").write_bytes(b"x")
    with pytest.raises(InputRejected, match=r"\.dng files, which are not read; export them as JPEG"):
        probe(tmp_path)


def test_a_zip_cannot_write_outside(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 9)
    evil = zipped(folder, tmp_path / "evil.zip", prefix="../../")
    with pytest.raises(InputRejected, match="unsafe path"):
        ingest(evil, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_zip_bomb_is_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 9)
    bomb = zipped(folder, tmp_path / "bomb.zip")
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.jpg", bytes(80_000_000))
    with pytest.raises(InputRejected, match=r"unpacks to 80 MB, which photos do not"):
        ingest(bomb, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_and_doubles_in_a_zip(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 9)
    linked = zipped(folder, tmp_path / "linked.zip")
    with zipfile.ZipFile(linked, "a") as archive:
        link = zipfile.ZipInfo("secret.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    source = ingest(linked, tmp_path / "out")
    assert not list(source.media.glob("secret*")) and source.probe()["frames"] == 9
    double = zipped(folder, tmp_path / "double.zip")
    with zipfile.ZipFile(double, "a") as archive:
        archive.write(folder / "000.jpg", "001.JPG")
    with pytest.raises(InputRejected, match=r"holds '001\.jpg' more than once"):
        probe(double)


def test_a_probe_that_swells_or_hangs_is_ended(video: Path) -> None:
    with pytest.raises(InputRejected, match=r"walk\.mp4: cannot be read safely.*shows no sign of life for 0\.001 s"):
        probe(video, IngestLimits(probe_stall_s=0.001))
    with pytest.raises(InputRejected, match=r"walk\.mp4: .*"):
        probe(video, IngestLimits(probe_memory_mb=20))


def test_size_and_length_are_limited(video: Path) -> None:
    with pytest.raises(InputRejected, match="over the size limit"):
        probe(video, IngestLimits(max_video_pixels=160 * 96 - 1))
    with pytest.raises(InputRejected, match="over the limits of"):
        probe(video, IngestLimits(max_frames=19))
    with pytest.raises(InputRejected, match="more than the limit"):
        probe(video, IngestLimits(max_bytes=100))


def test_uneven_frames_are_a_variable_rate(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.choice([0.033, 0.066, 0.1], 30))
    path = write_video(tmp_path / "vfr.mp4", sliding_frames(30, 160, 96), rate=30, times_s=times - times[0])
    assert probe(path).variable_rate
    even = write_video(tmp_path / "cfr.mp4", sliding_frames(30, 160, 96), rate=30)
    assert not probe(even).variable_rate


def _box(kind: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def marked(video: Path, mark: bytes) -> Path:
    """Boxes put where the film's description is, as cameras put marks of 360° video there."""
    data = bytearray(video.read_bytes())
    at = data.rindex(b"avc1") - 4  # the first is a brand of the file
    end = at + int.from_bytes(data[at : at + 4], "big")
    data[end:end] = mark
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        place = data.rindex(name) - 4
        data[place : place + 4] = (int.from_bytes(data[place : place + 4], "big") + len(mark)).to_bytes(4, "big")
    video.write_bytes(data)
    return video


def spherical(bounds: tuple[int, int, int, int] = (0, 0, 0, 0), projection: bytes = b"equi") -> bytes:
    """Google's spherical video metadata, version 2."""
    edges = b"".join(bound.to_bytes(4, "big") for bound in bounds)
    header = _box(b"svhd", bytes(4) + b"tests\0")
    return _box(b"sv3d", header + _box(b"proj", _box(b"prhd", bytes(16)) + _box(projection, bytes(4) + edges)))


def test_a_360_video_is_recognised_by_its_marks(video: Path) -> None:
    assert probe(video).projection == "flat"
    assert probe(marked(video, spherical())).projection == "equirectangular"


@pytest.mark.parametrize(
    ("mark", "says"),
    [
        (spherical((1 << 30, 1 << 30, 0, 0)), "part of an equirectangular one"),
        (spherical(projection=b"cbmp"), "cube map"),
        (spherical() + (13).to_bytes(4, "big") + b"st3d" + bytes(4) + b"\1", "two eyes in one picture"),
    ],
)
def test_other_360_videos_say_what_to_do(video: Path, mark: bytes, says: str) -> None:
    with pytest.raises(InputRejected, match=rf"360° video \(.*{says}\).*flat views"):
        probe(marked(video, mark))


def test_the_hlg_capture_is_described() -> None:
    found = probe(real_capture("bad/hlg10bit_hevc_rot90_editlist_86f.mp4"))
    assert (found.codec, found.transfer, found.primaries, found.bit_depth) == ("hevc", "hlg", "bt2020", 10)
    assert (found.rotation_deg, found.width, found.height, found.edit_list) == (-90, 1080, 1920, True)
    assert found.sensor_tracks == "Apple timed metadata"


def test_ingest_copies_and_hashes_a_video(video: Path, tmp_path: Path) -> None:
    source = ingest(video, tmp_path / "out")
    source.validate()
    assert source.media.read_bytes() == video.read_bytes()
    assert source.probe()["sha256"] == content_sha256(video) == source.metrics["sha256"]
    assert source.probe()["name"] == "walk.mp4"
    assert not source.is_photos


def test_a_folder_and_its_zip_are_the_same_content(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 9)
    one = ingest(folder, tmp_path / "one")
    two = ingest(zipped(folder, tmp_path / "set.zip", prefix="my photos/"), tmp_path / "two")
    assert one.probe()["sha256"] == two.probe()["sha256"] == content_sha256(folder)
    assert sorted(p.name for p in two.media.iterdir()) == sorted(p.name for p in folder.iterdir())
    (folder / "000.jpg").rename(folder / "zzz.jpg")
    assert content_sha256(folder) != one.probe()["sha256"]


def test_the_probe_document_holds_no_place(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 9)
    with Image.open(folder / "000.jpg") as image:
        exif = Image.Exif()
        exif.get_ifd(0x8825).update({1: "N", 2: (55.0, 41.0, 53.0), 3: "E", 4: (13.0, 11.0, 43.0)})
        image.save(folder / "000.jpg", exif=exif)
    source = ingest(folder, tmp_path / "out")
    said = json.dumps(source.probe()) + json.dumps(dict(source.metrics))
    assert "gps" not in said.lower() and "55" not in json.dumps(
        {k: v for k, v in source.probe().items() if k != "sha256"}
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("empty_0bytes", "empty"),
        ("text_renamed", "not a readable video"),
        ("jpeg_renamed", "one JPEG picture"),
        ("no_video_stream_audio_only", "only sound"),
        ("truncated_60pct_moov_at_end", "moov"),
        ("one_frame", "at least 8 frames and 1 s"),
        ("too_short_24frames", "at least 8 frames and 1 s"),
        ("short_3frames_hevc_rot90", "at least 8 frames and 1 s"),
    ],
)
def test_real_bad_files_are_refused(name: str, says: str) -> None:
    with pytest.raises(InputRejected, match=says):
        probe(real_capture(f"bad/{name}.mp4"))
