from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from reconstruction_pipeline.stages.ingest.limits import IngestLimits
from reconstruction_pipeline.stages.ingest.probe import probe_here
from reconstruction_pipeline.stages.keyframes.bars import black_borders, common_bars
from reconstruction_pipeline.stages.keyframes.decode import DecodeLimits, VideoReader
from reconstruction_pipeline.stages.keyframes.frames import FrameStream
from reconstruction_pipeline.stages.keyframes.upright import gray_frame, upright_frame
from reconstruction_pipeline_tests.stages.captures import Rgb, real_capture, sliding_frames, write_video

FRAMES = sliding_frames(18, 160, 96)


def pictures(path: Path, size: int = 640) -> list[tuple[float, Rgb]]:
    """Every frame in this process: (time, upright picture)."""
    stream, reformatter = FrameStream(path), VideoReformatter()
    return [(f.time_s, upright_frame(reformatter, f.picture, stream.aspect, size)) for f in stream.frames()]


def write(path: Path, codec: str, pixels: str, options: dict[str, str], **fields: Any) -> Path:
    """The frames at 15 Hz; `fields` are set on the codec context."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=15)
        stream.width, stream.height, stream.pix_fmt, stream.options = 160, 96, pixels, options
        for name, value in fields.items():
            setattr(stream.codec_context, name, value)
        for image in FRAMES:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("codec", "name", "pixels", "options", "decoder"),
    [
        ("libx264", "a.mp4", "yuv420p", {"crf": "12", "bf": "2", "preset": "ultrafast"}, "h264"),
        ("libx265", "a.mov", "yuv420p10le", {"crf": "12", "preset": "ultrafast", "x265-params": "log-level=0"}, "hevc"),
        ("libsvtav1", "a.mkv", "yuv420p", {"crf": "20", "preset": "12"}, "libdav1d"),
        ("libvpx-vp9", "a.webm", "yuv420p", {"crf": "10", "b": "0", "deadline": "realtime", "cpu-used": "8"}, "vp9"),
        ("prores_ks", "a.mov", "yuv422p10le", {"profile": "standard"}, "prores"),
        ("mjpeg", "a.avi", "yuvj420p", {"qmin": "2", "qmax": "2"}, "mjpeg"),
        ("mpeg4", "a.mp4", "yuv420p", {"qmin": "2", "qmax": "2"}, "mpeg4"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_common_codec(
    tmp_path: Path, codec: str, name: str, pixels: str, options: dict[str, str], decoder: str
) -> None:
    path = write(tmp_path / name, codec, pixels, options)
    found = probe_here(path, IngestLimits())
    assert found.codec == decoder
    assert (found.width, found.height, found.frames, found.variable_rate) == (160, 96, 18, False)
    assert found.bit_depth == (10 if pixels.endswith("10le") else 8)
    decoded = pictures(path)
    assert [time for time, _ in decoded] == pytest.approx([i / 15 for i in range(18)], abs=0.002)
    for (_, picture), image in zip(decoded, FRAMES, strict=True):
        # Colour is stored at half the size, so that grey is what can be compared closely.
        assert np.abs(picture.mean(axis=2) - image.mean(axis=2)).mean() < 6
        assert np.abs(picture.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 4


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_all_eight_orientations(tmp_path: Path, turn: int, mirrored: bool) -> None:
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=15)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.set_display_rotation(turn, hflip=mirrored)
        for image in FRAMES[:16]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    expected = np.rot90(FRAMES[0], turn // 90)
    expected = expected[:, ::-1] if mirrored else expected
    _, first = pictures(path)[0]
    assert first.shape == expected.shape
    assert np.abs(first.astype(float) - expected).mean() < 8
    found = probe_here(path, IngestLimits())
    assert (found.width, found.height) == expected.shape[1::-1]
    assert found.mirrored is mirrored


def test_pixels_are_made_square(tmp_path: Path) -> None:
    path = write(tmp_path / "wide.mp4", "libx264", "yuv420p", {}, sample_aspect_ratio=Fraction(3, 2))
    assert pictures(path)[0][1].shape == (96, 240, 3)
    assert pictures(path, size=120)[0][1].shape == (48, 120, 3)
    found = probe_here(path, IngestLimits())
    assert (found.width, found.height, found.pixel_aspect) == (240, 96, 1.5)
    stream = FrameStream(path)
    frame = next(stream.frames())
    assert gray_frame(VideoReformatter(), frame.picture, stream.aspect, 120).shape == (48, 120)


def exact_rgb(y: int, u: int, v: int, red: float, blue: float, full: bool) -> Rgb:
    """ITU-T H.273: RGB of coded numbers, given the matrix's weights of red and blue."""
    luma, cb, cr = (
        (y / 255, (u - 128) / 255, (v - 128) / 255) if full else ((y - 16) / 219, (u - 128) / 224, (v - 128) / 224)
    )
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.array([r, g, b]) * 255, 0, 255)


BT601, BT709, BT2020 = (0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)


@pytest.mark.parametrize("coded_range", [0, 1, 2], ids=["unsaid", "limited", "full"])
@pytest.mark.parametrize(
    ("matrix", "height", "weights"),
    [(1, 360, BT709), (6, 1080, BT601), (9, 1080, BT2020), (2, 1080, BT709), (2, 360, BT601)],
)
def test_matrix_and_range_are_honoured(
    matrix: int, height: int, weights: tuple[float, float], coded_range: int
) -> None:
    frame = av.VideoFrame(height * 16 // 9 // 2 * 2, height, "yuv420p")
    for plane, value in zip(frame.planes, (120, 90, 170), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.colorspace, frame.color_range, frame.color_primaries = matrix, coded_range, 1
    picture = upright_frame(VideoReformatter(), frame, 1.0, 200)
    expected = exact_rgb(120, 90, 170, *weights, coded_range == 2)
    assert np.abs(picture.reshape(-1, 3).astype(float) - expected).max() <= 1.01


def test_the_child_gives_what_the_process_itself_would(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", "libx264", "yuv420p", {})
    reader = VideoReader(path)
    grays = list(reader.grays(80))
    assert [g.index for g in grays] == list(range(18))
    assert all(g.array.shape == (48, 80) and g.array.dtype == np.uint8 for g in grays)
    wanted = [(g.index, g.time_s) for g in (grays[3], grays[11])]
    chosen = list(reader.pictures(wanted, 640))
    assert [(c.index, c.time_s) for c in chosen] == wanted
    for decoded in chosen:
        assert np.array_equal(decoded.array, pictures(path)[decoded.index][1])
    assert (reader.errors, reader.problem) == (0, "")


def test_a_second_stream_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        small: Any = container.add_stream("libx264", rate=15)
        large: Any = container.add_stream("libx264", rate=15)
        for stream, (width, height) in ((small, (80, 48)), (large, (160, 96))):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for image in FRAMES:
            for stream, picture in ((small, image[::2, ::2]), (large, image)):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                container.mux(stream.encode(frame))
        for stream in (small, large):
            container.mux(stream.encode())
    found = probe_here(path, IngestLimits())
    assert (found.video_streams, found.stream, found.width) == (2, 1, 160)
    assert next(FrameStream(path, stream=found.stream).frames()).picture.width == 160
    assert next(FrameStream(path, stream=0).frames()).picture.width == 80


def test_a_decoder_is_held_to_its_memory(tmp_path: Path) -> None:
    path = write_video(tmp_path / "large.mp4", [np.zeros((3000, 4000, 3), np.uint8)] * 3)
    reader = VideoReader(path, limits=DecodeLimits(memory_mb=200))
    assert list(reader.grays(640)) == []
    assert reader.problem == "needs more than 200 MB of memory"
    assert len(list(VideoReader(path).grays(640))) == 3


def test_an_index_that_tells_of_a_huge_packet_is_damage_and_no_lack_of_memory(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", sliding_frames(18, 160, 96))
    data = bytearray(path.read_bytes())
    sizes = data.index(b"stsz") + 16
    data[sizes + 20 : sizes + 24] = (0x30000000).to_bytes(4, "big")
    path.write_bytes(data)
    reader = VideoReader(path)
    assert 5 <= len(list(reader.grays(80))) <= 6, "what comes before it"
    assert reader.problem == "" and reader.errors >= 1


def test_a_decoder_that_hangs_is_ended(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", "libx264", "yuv420p", {})
    reader = VideoReader(path, limits=DecodeLimits(stall_s=0.001))
    assert list(reader.grays(640)) == []
    assert reader.problem == "shows no sign of life for 0.001 s"


def test_a_file_without_end_is_ended(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", "libx264", "yuv420p", {})
    reader = VideoReader(path, limits=DecodeLimits(max_frames=10))
    assert len(list(reader.grays(80))) == 10
    assert reader.problem == "met more than 10 frames"


def test_what_is_no_video_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing of the kind")
    reader = VideoReader(tmp_path / "a.mp4")
    assert list(reader.grays(640)) == []
    assert "no readable video" in reader.problem


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", "libx264", "yuv420p", {})
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {tmp_path / 'a.mp4'}\n")
    reader = VideoReader(tmp_path / "list.mp4")
    assert list(reader.grays(640)) == []


def test_black_bars_around_the_chosen_frames_are_cut_off(tmp_path: Path) -> None:
    """Six frames between bars, six of another shape, as an editor joins them."""
    boxed = [np.pad(image[:, :80], ((0, 0), (40, 40), (0, 0))) for image in FRAMES[:6]]
    path = write_video(tmp_path / "boxed.mp4", [*boxed, *FRAMES[6:12]])
    reader = VideoReader(path)
    places = [(gray.index, gray.time_s) for gray in reader.grays(640)]
    first, *_ = reader.pictures(places[1:5], 640)
    assert 74 <= first.array.shape[1] <= 79 and first.array.shape[0] == 96
    assert reader.cut[0] == pytest.approx(0.25, abs=0.02) and reader.cut[1] == 0
    inset = (80 - first.array.shape[1]) // 2
    assert np.abs(first.array.astype(float) - FRAMES[1][:, inset : inset + first.array.shape[1]]).mean() < 8
    whole, *_ = reader.pictures(places[4:8], 640)
    assert whole.array.shape == (96, 160, 3) and reader.cut == (0, 0)
    assert next(reader.pictures(places[1:5], 48)).array.shape[0] == 48


def test_dark_edges_are_not_bars() -> None:
    borders = [(40, 41, 3, 3), (39, 40, 0, 5)]
    assert common_bars(borders, (96, 160)) == (40 / 160, 0)
    assert common_bars([(40, 0, 0, 0)], (96, 160)) == (0, 0), "on one side only"
    assert common_bars([black_borders(np.zeros((96, 160), np.uint8))], (96, 160)) == (0, 0), "a black frame"


def test_the_real_turned_video_is_the_other_one_turned() -> None:
    turned, plain = (real_capture(name) for name in ("bad/rotmeta90_alvaar.mp4", "videos/desk_handheld.mp4"))
    for index in (0, 40):
        one, two = (_picture(path, index) for path in (turned, plain))
        assert one.shape == (364, 674, 3) and two.shape == (674, 364, 3)
        assert np.array_equal(one, np.rot90(two))


def test_the_real_hlg_video_is_upright_and_as_bright_as_ffmpeg_makes_it() -> None:
    """FFmpeg 5.1.9: `zscale=t=linear:npl=100, zscale=p=bt709, tonemap=hable:desat=0, zscale=t=bt709:m=bt709:r=pc`."""
    picture = _picture(real_capture("bad/hlg10bit_hevc_rot90_editlist_86f.mp4"), 5)
    assert picture.shape == (1024, 576, 3)
    assert np.abs(picture.reshape(-1, 3).mean(axis=0) - (134.18, 141.09, 135.83)).max() < 2
    # The sky is above, the roofs below.
    assert picture[:200].mean() > picture[-200:].mean() + 30


def _picture(path: Path, index: int) -> Rgb:
    stream = FrameStream(path)
    frame = next(frame for frame in stream.frames() if frame.index == index)
    return upright_frame(VideoReformatter(), frame.picture, stream.aspect, 1024)
