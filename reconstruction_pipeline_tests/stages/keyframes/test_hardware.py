"""Which decoder is taken, and that what is there and cannot be used stops nothing."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from reconstruction_pipeline.stages.keyframes import decode, frames, hardware
from reconstruction_pipeline.stages.keyframes.decode import VideoReader
from reconstruction_pipeline.stages.keyframes.frames import FrameStream
from reconstruction_pipeline.stages.keyframes.hardware import SOFTWARE, device_for, devices_here
from reconstruction_pipeline_tests.stages.captures import sliding_frames, write_video


def test_what_the_machine_lacks_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    built = av.codec.hwaccel.hwdevices_available()
    monkeypatch.setattr(hardware, "MACHINE", {name: lambda: True for name in (*built, "abacus")})
    assert devices_here() == tuple(built)
    monkeypatch.setattr(hardware, "MACHINE", {name: lambda: False for name in built})
    assert devices_here() == ()


def test_a_device_must_know_the_codec() -> None:
    h264, prores = (av.Codec(name, "r") for name in ("h264", "prores"))
    able = [config.device_type.name for config in h264.hardware_configs if config.is_supported]
    assert able
    assert device_for(h264, ["abacus", able[-1]]) == able[-1]
    assert device_for(h264, []) is None and device_for(h264, ["abacus"]) is None
    assert device_for(prores, ["vaapi", "cuda"]) is None


def test_a_device_that_does_not_open_leaves_the_work_to_software(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", sliding_frames(12, 160, 96))
    name = next(c.device_type.name for c in av.Codec("h264", "r").hardware_configs if c.is_supported)
    if hardware.MACHINE.get(name, lambda: False)():
        pytest.skip(f"this machine has a {name} that may well open")
    monkeypatch.setattr(frames, "devices_here", lambda: (name,))
    stream = FrameStream(path)
    assert len(list(stream.frames())) == 12
    assert stream.decoder == f"{SOFTWARE} ({name} does not open)"


def test_hardware_that_gives_no_frame_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", sliding_frames(12, 160, 96))
    reader = VideoReader(path)
    monkeypatch.setattr(decode, "devices_here", lambda: ("cuda",))
    silent = decode.VideoReader._read

    def read(self: VideoReader, size: int, wanted: list[tuple[int, float]] | None) -> object:
        return iter(()) if self.hardware else silent(self, size, wanted)

    monkeypatch.setattr(decode.VideoReader, "_read", read)
    assert len(list(reader.grays(80))) == 12
    assert reader.decoder == f"{SOFTWARE} (hardware gave no frame)" and not reader.hardware
