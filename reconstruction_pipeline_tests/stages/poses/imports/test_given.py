"""Poses that come with a capture, from ingest over keyframes to points on the surfaces."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, read_model, write_model
from reconstruction_pipeline.artifacts.errors import InputRejected, StageFailed
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.stages.ingest import content_sha256, ingest, probe
from reconstruction_pipeline.stages.keyframes import KeyframeSettings, select_keyframes
from reconstruction_pipeline.stages.poses import PoseSettings, estimate_poses
from reconstruction_pipeline.stages.poses.imports.given import given_on_keyframes
from reconstruction_pipeline.stages.poses.transforms import transforms_json
from reconstruction_pipeline_tests.stages.poses.imports.test_triangulation import room_project

COUNT = 8


@pytest.fixture
def capture(tmp_path: Path) -> tuple[Path, ColmapModel]:
    """A COLMAP project of a room corner; one picture more than there are poses, and small copies to trip over."""
    folder = tmp_path / "capture"
    model = room_project(folder, COUNT)
    shutil.copy(folder / "images" / "a walk" / "0.png", folder / "images" / "a walk" / "lost.png")
    (folder / "images_2" / "a walk").mkdir(parents=True)
    for path in (folder / "images" / "a walk").iterdir():
        cv2.imwrite(str(folder / "images_2" / "a walk" / path.name), cv2.imread(str(path))[::2, ::2])
    return folder, model


def keyframes_of(path: Path, work: Path, max_size: int = 1600) -> Keyframes:
    (work / "source").mkdir(parents=True)
    (work / "keyframes").mkdir()
    source = ingest(path, work / "source")
    return select_keyframes(source, KeyframeSettings(max_size=max_size), work / "keyframes")


def test_ingest_takes_the_posed_photos_and_their_model(capture: tuple[Path, ColmapModel], tmp_path: Path) -> None:
    folder, model = capture
    assert probe(folder).frames == COUNT
    source = ingest(folder, tmp_path / "source")
    names = sorted(p.relative_to(source.media).as_posix() for p in source.media.rglob("*") if p.is_file())
    files = [f"sparse/0/{name}.bin" for name in ("cameras", "images", "points3D")]
    assert names == [f"a walk/{i}.png" for i in range(COUNT)] + files
    stored = read_model(source.media / "sparse" / "0")
    np.testing.assert_array_equal(stored.centers, model.centers)
    assert source.probe()["sha256"] == content_sha256(folder) == content_sha256(source.media)
    (gate,) = (g for g in source.verdict.gates if g.name == "given_poses")
    assert gate.message == "8 photos came with camera poses."
    # Other poses are other content.
    first = replace(model.images[0], translation=model.images[0].translation + 0.01)
    write_model(folder / "sparse" / "0", replace(model, images=(first, *model.images[1:])))
    assert content_sha256(folder) != source.probe()["sha256"]


def test_a_transforms_file_as_capture(capture: tuple[Path, ColmapModel], tmp_path: Path) -> None:
    folder, model = capture
    camera = replace(next(iter(model.cameras.values())), model="PINHOLE", params=(400.0, 400.0, 240.0, 180.0))
    document = transforms_json(replace(model, cameras={1: camera}))
    document["frames"].append({**document["frames"][0], "file_path": "images/none.png"})
    (folder / "transforms.json").write_text(json.dumps(document))
    shutil.rmtree(folder / "sparse")
    for path in (folder, folder / "transforms.json"):
        keyframes = keyframes_of(path, tmp_path / f"work-{path.stem}")
        found = given_on_keyframes(keyframes)
        assert found
        np.testing.assert_allclose(found.centers, model.centers, atol=1e-9)
    shutil.rmtree(folder / "images")
    with pytest.raises(InputRejected, match="none of the pictures it lists"):
        probe(folder)


def test_keyframes_carry_the_poses_at_their_own_size(capture: tuple[Path, ColmapModel], tmp_path: Path) -> None:
    folder, model = capture
    keyframes = keyframes_of(folder, tmp_path / "work", max_size=240)
    found = given_on_keyframes(keyframes)
    assert found
    assert [image.name for image in found.images] == [f"a_walk_{i}.jpg" for i in range(COUNT)]
    assert list(found.cameras.values()) == [Camera("SIMPLE_PINHOLE", 240, 180, (200.0, 120.0, 90.0))]
    np.testing.assert_array_equal(found.centers, model.centers)
    assert given_on_keyframes(replace(keyframes, folder=tmp_path)) is None
    table = keyframes.table().assign(photo="elsewhere.png").head(1)
    table.to_csv(keyframes.path("keyframes.csv"), index=False)
    with pytest.raises(StageFailed, match="none of the 1 keyframes has a given pose"):
        given_on_keyframes(keyframes)


@pytest.mark.slow
def test_given_poses_are_judged_and_kept(capture: tuple[Path, ColmapModel], tmp_path: Path) -> None:
    folder, model = capture
    keyframes = keyframes_of(folder, tmp_path / "work")
    (tmp_path / "poses").mkdir()
    poses = estimate_poses(keyframes, PoseSettings(), tmp_path / "poses")
    assert poses.verdict.ok, poses.verdict.sentence()
    assert poses.metrics["rung"] == "given" and poses.metrics["registered"] == COUNT
    assert poses.metrics["points"] >= 1000 and 0 < poses.metrics["mean_reprojection_error_px"] < 1.0
    # The delivered world is theirs, turned and scaled by the stored transform and otherwise untouched.
    found, matrix = poses.model(), np.array(poses.transform()["matrix"])
    np.testing.assert_allclose(found.centers, model.centers @ matrix[:3, :3].T + matrix[:3, 3], atol=1e-9)
    back = (found.xyz - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
    half = 0.5**0.5
    planes = [((0, 1, 0), 1.0), ((half, 0, half), 2.4), ((-half, 0, half), 2.4)]
    off = np.min([np.abs(back @ np.array(normal) - offset) for normal, offset in planes], axis=0)
    assert np.median(off) < 0.01


@pytest.mark.slow
def test_poses_of_other_pictures_are_refused(capture: tuple[Path, ColmapModel], tmp_path: Path) -> None:
    folder, model = capture
    turned = [replace(image, rotation=other.rotation, quaternion=other.quaternion, translation=other.translation)
              for image, other in zip(model.images, model.images[::-1], strict=True)]  # fmt: skip
    write_model(folder / "sparse" / "0", replace(model, images=tuple(turned)))
    keyframes = keyframes_of(folder, tmp_path / "work")
    (tmp_path / "poses").mkdir()
    try:
        poses = estimate_poses(keyframes, PoseSettings(), tmp_path / "poses")
    except StageFailed as error:
        assert "agree with the given poses" in str(error)
    else:
        assert not poses.verdict.ok
