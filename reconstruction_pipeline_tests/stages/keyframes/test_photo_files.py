from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from reconstruction_pipeline.artifacts.guarded import ChildLimits
from reconstruction_pipeline.artifacts.heif import BadHeif, read_heif
from reconstruction_pipeline.stages.ingest import IngestLimits, ingest
from reconstruction_pipeline.stages.ingest.photos import Photo as Listed
from reconstruction_pipeline.stages.ingest.photos import PhotoSet, check_photo
from reconstruction_pipeline.stages.ingest.probe import probe_here
from reconstruction_pipeline.stages.keyframes import KeyframeSettings, select_keyframes
from reconstruction_pipeline.stages.keyframes.photo_files import read_photo
from reconstruction_pipeline.stages.keyframes.photo_reader import read_photos
from reconstruction_pipeline_tests.stages.captures import Rgb, sliding_frames
from reconstruction_pipeline_tests.stages.heif_files import write_heic

WIDE = sliding_frames(1, 160, 96)[0]


def exif_of(orientation: int = 1, model: str = "Pocket 3", focal35: int = 27) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", model, orientation
    exif.get_ifd(0x8769).update({0xA405: focal35, 0x920A: 5.1})
    exif[0x8769] = dict(exif.get_ifd(0x8769))  # Pillow writes it into a TIFF only so
    return exif


def seen(path: Path) -> tuple[str, int, int] | None:
    with PhotoSet(path.parent, IngestLimits()) as photos:
        return check_photo(photos, Listed(path.name, path.stat().st_size, path.name), IngestLimits())


@pytest.mark.parametrize(
    ("suffix", "kind", "options"),
    [
        (".jpg", "JPEG", {"quality": 95}),
        (".png", "PNG", {}),
        (".tif", "TIFF", {}),
        (".webp", "WEBP", {"quality": 95}),
        (".avif", "AVIF", {"quality": 95}),
    ],
)
def test_every_format_is_upright_with_its_focal_length(
    tmp_path: Path, suffix: str, kind: str, options: dict[str, object]
) -> None:
    path = tmp_path / f"a{suffix}"
    # Orientation 6: to be turned clockwise for viewing.
    Image.fromarray(np.ascontiguousarray(np.rot90(WIDE))).save(path, exif=exif_of(6), **options)
    assert seen(path) == (kind, 160, 96)
    photo = read_photo(path, 640)
    assert photo.rgb.shape == WIDE.shape
    assert np.abs(photo.rgb.astype(float) - WIDE).mean() < 6
    assert photo.focal_px == pytest.approx(27 / 36 * 160)
    assert photo.camera == "Maker Pocket 3 5.10 mm"
    assert read_photo(path, 80).rgb.shape == (48, 80, 3)


@pytest.mark.parametrize(("turns", "mirror"), [(0, None), (3, None), (1, None), (2, 1), (0, 0)])
def test_heic_tiles_are_put_together_and_turned(tmp_path: Path, turns: int, mirror: int | None) -> None:
    exif = exif_of(6).tobytes().removeprefix(b"Exif\0\0")
    path = write_heic(tmp_path / "IMG_1.HEIC", WIDE, turns=turns, mirror=mirror, exif=exif)
    expected: Rgb = np.rot90(WIDE, turns)
    if mirror is not None:
        expected = expected[:, ::-1] if mirror else expected[::-1]
    assert seen(path) == ("HEIC", expected.shape[1], expected.shape[0])
    photo = read_photo(path, 640)
    assert photo.rgb.shape == expected.shape, "HEIF's own rotation counts, not EXIF's"
    assert np.abs(photo.rgb.astype(float) - expected).mean() < 6
    assert np.abs((photo.rgb.astype(float) - expected).mean(axis=(0, 1))).max() < 1.5
    assert photo.focal_px == pytest.approx(27 / 36 * 160)


def test_a_damaged_heic_is_lost_with_a_reason(tmp_path: Path) -> None:
    data = write_heic(tmp_path / "a.heic", WIDE).read_bytes()
    for cut in (40, 200, len(data) // 2):
        with pytest.raises((ValueError, OSError)):
            (tmp_path / "a.heic").write_bytes(data[:cut])
            read_photo(tmp_path / "a.heic", 640)
    with pytest.raises(BadHeif, match="only HEVC"):
        read_heif(data.replace(b"grid", b"j2k1"))


def test_deep_pictures_lose_only_depth(tmp_path: Path) -> None:
    gray = WIDE.mean(axis=2)
    Image.fromarray((gray * 257).astype(np.uint16)).save(tmp_path / "deep.png")
    assert np.abs(read_photo(tmp_path / "deep.png", 640).rgb[..., 0] - gray).max() <= 1


def test_profiles_are_applied_and_damaged_ones_are_not(tmp_path: Path) -> None:
    Image.fromarray(WIDE).save(
        tmp_path / "srgb.png", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    assert np.abs(read_photo(tmp_path / "srgb.png", 640).rgb.astype(int) - WIDE).max() <= 1
    Image.fromarray(WIDE).save(tmp_path / "broken.png", icc_profile=b"no profile at all")
    assert np.array_equal(read_photo(tmp_path / "broken.png", 640).rgb, WIDE)


def test_one_photo_that_breaks_its_decoder_loses_no_other(tmp_path: Path) -> None:
    files = []
    for number, size in enumerate([(96, 160), (7000, 7000), (96, 160)]):
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(files[-1], compress_level=1)
    first, second, third = read_photos(files, 640, ChildLimits(memory_mb=160, stall_s=60))
    assert not isinstance(first, str) and not isinstance(third, str)
    assert second == "the decoder needs more than 160 MB of memory"


def test_mixed_cameras_are_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, frame in enumerate(sliding_frames(10, 160, 96, step=12)):
        model = "One" if number % 2 else "Two"
        name = f"{number:02d}"
        if number == 3:
            exif = exif_of(model=model).tobytes().removeprefix(b"Exif\0\0")
            write_heic(folder / f"{name}.heic", frame, tile=160, exif=exif)
        else:
            suffix = (".jpg", ".tif")[number % 3 == 0]
            Image.fromarray(frame).save(folder / f"{name}{suffix}", exif=exif_of(model=model))
    found = probe_here(folder, IngestLimits())
    assert (found.codec, found.frames) == ("HEIC+JPEG+TIFF", 10)
    result = select_keyframes(ingest(folder, tmp_path / "source"), KeyframeSettings(count=12), tmp_path / "keyframes")
    table = result.table()
    assert list(table["camera"]) == [1, 2] * 5, table
    assert result.metrics["cameras"] == 2
    assert "One" not in (result.path("keyframes.csv").read_text() + result.path("candidates.csv").read_text())
