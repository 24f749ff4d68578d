"""No location or device of the source goes into what people take away, though the scene is in metres by GPS."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from reconstruction_pipeline.artifacts import CameraPoses, Keyframes, SourceVideo
from reconstruction_pipeline.artifacts.base import Artifact
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.kernels.geodesy import LocalFrame
from reconstruction_pipeline.orchestration.deliverables import copy_contents
from reconstruction_pipeline.orchestration.reporting import report_inputs
from reconstruction_pipeline.report import build_report
from reconstruction_pipeline.stages.ingest import ingest
from reconstruction_pipeline.stages.keyframes import KeyframeSettings, select_keyframes
from reconstruction_pipeline.stages.poses import PoseSettings, estimate_poses
from reconstruction_pipeline.viewer import write_viewer
from reconstruction_pipeline_tests.cli.conftest import Cli, cli  # noqa: F401
from reconstruction_pipeline_tests.orchestration.conftest import storage  # noqa: F401
from reconstruction_pipeline_tests.stages.captures import RoomCorner

FRAME = LocalFrame(-41.2889, 174.7772, 31.0)
DEVICE = "Hidden 9000"
HARMLESS = {ExifTags.Base[n] for n in ("ExifVersion", "ComponentsConfiguration", "FlashPixVersion", "ColorSpace")}
# Metres: what a survey drone says of itself, so that the small room is large enough for its GPS.
ACCURACY = 0.02


def photos_with_places(folder: Path) -> None:
    """Photos of the room as phones write them: place, device and name of the owner in EXIF."""
    room, gps = RoomCorner(), {}
    folder.mkdir()
    for number, angle in enumerate(np.linspace(-0.35, 0.35, 10)):
        rotation, center = room.camera(angle)
        latitude, longitude, height = FRAME.geodetic(np.array([[center[0], center[2], -center[1]]]))[0]
        exif = Image.Exif()
        exif[0x010F], exif[0x0110], exif[0x013B] = "Secretive", DEVICE, "Jane Hidden"
        gps = {1: "S", 2: degrees(latitude), 3: "E", 4: degrees(longitude), 5: 0, 6: height, 31: ACCURACY}
        exif.get_ifd(0x8825).update(gps)
        picture = Image.fromarray(room.render(rotation, center))
        picture.save(folder / f"IMG_{number:02d}.jpg", quality=95, exif=exif)


def degrees(value: float) -> tuple[float, float, float]:
    minutes, seconds = divmod(abs(value) * 3600, 60)
    return float(minutes // 60), float(minutes % 60), seconds


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("location")
    photos_with_places(folder / "photos")
    source = ingest(folder / "photos", folder / "source")
    frames = select_keyframes(source, KeyframeSettings(), folder / "keyframes")
    poses = estimate_poses(frames, PoseSettings(threads=2, photo_features=1200), folder / "poses")
    assert isinstance(source, SourceVideo) and isinstance(frames, Keyframes)
    return {"source_video": source, "keyframes": frames, "camera_poses": poses}


def tells(path: Path) -> list[str]:
    """What a file gives away: the place as text or as a number of any kind, the device, the owner, or any EXIF."""
    data = path.read_bytes()
    found = [word for word in ("Secretive", DEVICE, "Jane", "GPSInfo") if word.encode() in data]
    places = (FRAME.latitude, FRAME.longitude)
    if path.suffix in (".json", ".html", ".txt", ".csv"):
        numbers = [float(n) for n in re.findall(rb"-?\d{1,3}\.\d{2,}", data)]
        found += [str(n) for n in numbers if any(abs(abs(n) - abs(place)) < 0.02 for place in places)]
        found += re.findall(r"\b41[^0-9]{1,5}17[^0-9]{1,5}\d", data.decode())
    if path.suffix == ".bin":
        for offset in range(8):
            values = np.frombuffer(data[offset : offset + (len(data) - offset) // 8 * 8], "<f8")
            with np.errstate(invalid="ignore"):
                found += [str(v) for v in values if any(abs(abs(v) - abs(p)) < 1e-3 for p in places)]
    if path.suffix in (".jpg", ".png"):
        with Image.open(path) as picture:
            # COLMAP's writer adds the version and colour space of EXIF, and nothing else may be there.
            found += [f"EXIF {tag}" for tag in picture.getexif() if tag != ExifTags.IFD.Exif]
            found += [f"EXIF {tag}" for tag in picture.getexif().get_ifd(ExifTags.IFD.Exif) if tag not in HARMLESS]
    return found


def test_nothing_that_is_delivered_tells_the_place(made: dict[str, Artifact], tmp_path: Path) -> None:
    poses = made["camera_poses"]
    assert isinstance(poses, CameraPoses)
    assert poses.metrics["georeferenced"] is True and poses.metrics["unit"] == "metre"
    told = json.loads(poses.path("georeference.json").read_text())["origin"]
    assert told["latitude"] == pytest.approx(FRAME.latitude, abs=1e-3), "the storage knows, or this test proves nothing"
    assert tells(next(Path(made["source_video"].path("source")).rglob("*.jpg"))), "so do the photos"
    report = build_report(report_inputs("room", "balanced", made), tmp_path / "report", NullProgress())
    copy_contents(tmp_path / "delivered", {**made, "scene_report": report})
    (tmp_path / "scene.sog").write_bytes(b"splats")
    write_viewer(tmp_path / "delivered" / "viewer.html", tmp_path / "scene.sog", poses.model(), "room", "10 splats")
    files = [path for path in (tmp_path / "delivered").rglob("*") if path.is_file()]
    names = {path.relative_to(tmp_path / "delivered").parts[0] for path in files}
    assert names >= {"report.html", "metrics.json", "transforms.json", "colmap", "viewer.html"}
    assert {path.relative_to(tmp_path): told for path in files if (told := tells(path))} == {}
    assert not list((tmp_path / "delivered").rglob("georeference*"))


def test_the_place_is_exported_only_when_asked_for(
    made: dict[str, Artifact],
    cli: Cli,  # noqa: F811
    storage: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    poses = made["camera_poses"]
    ArtifactStore(storage, tmp_path / "scratch").publish("room", poses)
    assert cli("export", "room", "--for", "colmap", "--out", tmp_path / "plain").code == 0
    files = [path for path in (tmp_path / "plain").rglob("*") if path.is_file()]
    assert len(files) > 10 and not [path for path in files if tells(path)]
    assert cli("export", "room", "--for", "colmap", "--out", tmp_path / "placed", "--with-location").code == 0
    assert tells(tmp_path / "placed" / "georeference.json")
    refused = cli("export", tmp_path / "nowhere", "--for", "colmap", "--with-location")
    assert refused.code != 0
