"""Making, caching, cancelling."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from reconstruction_pipeline.artifacts.errors import Cancelled, InvalidArtifact, UsageError
from reconstruction_pipeline.artifacts.progress import NullProgress, RecordingProgress
from reconstruction_pipeline.sample import SampleCapture, capture, make_sample
from reconstruction_pipeline.sample.__main__ import main
from reconstruction_pipeline.sample.variants import SEED, VARIANTS

TINY = replace(
    VARIANTS["small"], width=96, height=64, focal_px=70.0, frames=4, subframes=2,
    texture_scale=0.1, light_scale=0.15, light_rays=4,
)  # fmt: skip


def test_the_video_is_real_h264_of_the_promised_shape(small_sample: SampleCapture) -> None:
    variant = small_sample.variant
    with av.open(str(small_sample.video)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.width, stream.height) == (variant.width, variant.height)
        assert stream.average_rate == variant.fps
        frames = list(container.decode(stream))
        assert {int(frame.colorspace) for frame in frames} == {1}  # BT.709
    assert len(frames) == variant.frames == len(small_sample.frames)
    np.testing.assert_allclose([frame.time for frame in frames], small_sample.frames.timestamps, atol=1e-4)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    for name, seed, threads in (("a", SEED, 1), ("b", SEED, 3), ("c", SEED + 1, 2)):
        (tmp_path / name).mkdir()
        monkeypatch.setattr("reconstruction_pipeline.sample.threads.available", lambda n=threads: n)
        capture.film(tmp_path / name, TINY, seed, NullProgress())
        digests.append(json.loads((tmp_path / name / "sample.json").read_text())["frames_sha256"])
    assert digests[0] == digests[1] != digests[2]


def test_a_second_call_reads_the_cache(small_sample: SampleCapture) -> None:
    before = small_sample.video.stat().st_mtime_ns
    again = make_sample(small_sample.folder.parent, "small", RecordingProgress(cancel_after=1))
    assert again.video.stat().st_mtime_ns == before
    np.testing.assert_array_equal(again.frames.rotations, small_sample.frames.rotations)


def test_cancelling_leaves_nothing(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANTS, "small", TINY)
    for after in (3, 20):  # while lighting; while filming
        with pytest.raises(Cancelled):
            make_sample(empty_cache, "small", RecordingProgress(cancel_after=after))
        assert list(empty_cache.iterdir()) == []


def test_a_damaged_copy_is_named_and_made_again(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANTS, "small", TINY)
    first = make_sample(empty_cache, "small")
    (first.folder / "truth.npz").write_bytes(b"not a zip")
    with pytest.raises(InvalidArtifact, match="sample capture"):
        SampleCapture.load(first.folder)
    again = make_sample(empty_cache, "small")
    assert len(again.frames) == TINY.frames
    assert [path.name for path in empty_cache.iterdir()] == [again.folder.name]


def test_a_process_that_lost_the_race_takes_the_winners_copy(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VARIANTS, "small", TINY)
    film, raced = capture.film, []

    def slower(*arguments: object) -> None:
        film(*arguments)  # type: ignore[arg-type]
        if not raced:
            raced.append(True)
            make_sample(empty_cache, "small")

    monkeypatch.setattr(capture, "film", slower)
    assert len(make_sample(empty_cache, "small").frames) == TINY.frames
    assert len(list(empty_cache.iterdir())) == 1


def test_an_unknown_variant_is_refused(empty_cache: Path) -> None:
    with pytest.raises(UsageError, match="demo, small"):
        make_sample(empty_cache, "huge")  # type: ignore[arg-type]


def test_the_command_prints_where_the_sample_is(
    small_sample: SampleCapture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--variant", "small", "--out", str(small_sample.folder.parent)]) == 0
    assert json.loads(capsys.readouterr().out)["video"] == str(small_sample.video)
