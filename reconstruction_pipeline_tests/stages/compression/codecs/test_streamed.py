"""Streamed SOG: its layout, other people's reader of ours, ours of theirs, and what damaged files do."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, UsageError
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import read_ply, write_ply
from reconstruction_pipeline.stages.compression.codecs import (
    WriteOptions,
    bytes_of,
    read_splats,
    streamed,
    write_splats,
)
from reconstruction_pipeline.stages.compression.codecs.streamed_reader import read_manifest
from reconstruction_pipeline.stages.compression.convert import convert
from reconstruction_pipeline_tests.readers import splat_transform
from reconstruction_pipeline_tests.stages.compression.damage import damaged
from reconstruction_pipeline_tests.stages.compression.scenes import match, random_scene
from reconstruction_pipeline_tests.stages.compression.test_damaged_files import little_memory
from reconstruction_pipeline_tests.stages.compression.test_independent_readers import assert_same

COUNT = 1500


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return random_scene(COUNT)


@pytest.fixture(scope="module")
def ours(scene: Gaussians, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three levels, in cells of at most 200 splats and files of at least 400."""
    path = tmp_path_factory.mktemp("streamed") / "out" / "lod-meta.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed, "CELL", 200)
        patch.setattr(streamed, "FILE", 400)
        write_splats(path, scene, WriteOptions(levels=3))
    return path


def leaves(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node] if "lods" in node else [leaf for child in node["children"] for leaf in leaves(child)]


def test_layout(ours: Path) -> None:
    meta = json.loads(ours.read_text())
    assert meta["version"] == 1 and meta["lodLevels"] == 3 and meta["counts"] == [1500, 750, 375]
    assert meta["count"] == 2625
    assert len(meta["filenames"]) > 4 and all((ours.parent / name).is_file() for name in meta["filenames"])
    assert sorted(path.name for path in ours.parent.iterdir()) == sorted(
        [name.split("/")[0] for name in meta["filenames"]] + ["lod-meta.json"]
    )
    for leaf in leaves(meta["tree"]):
        assert sorted(leaf["lods"]) == ["0", "1", "2"]
        for level, place in leaf["lods"].items():
            name = meta["filenames"][place["file"]]
            assert name.startswith(f"{level}_")
            unit = read_rows(ours, name)[place["offset"] : place["offset"] + place["count"]]
            # Centres lie in the box, which is around them and a sigma more.
            assert len(unit) == place["count"] > 0
            assert (unit > np.array(leaf["bound"]["min"]) - 1e-3).all()
            assert (unit < np.array(leaf["bound"]["max"]) + 1e-3).all()
    assert bytes_of(ours) == sum(path.stat().st_size for path in ours.parent.rglob("*") if path.is_file())


def read_rows(path: Path, name: str) -> np.ndarray:
    from reconstruction_pipeline.stages.compression.codecs.sog_reader import read_sog_folder

    return read_sog_folder(path.parent / name).means


def test_the_finest_level_is_the_scene(ours: Path, scene: Gaussians) -> None:
    copy = read_splats(ours)
    order = match(scene, copy)
    assert copy.count == COUNT == len(np.unique(order))
    np.testing.assert_allclose(copy.means[order], scene.means, atol=0.01)


def test_equal_scenes_give_equal_files(ours: Path, scene: Gaussians, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed, "CELL", 200)
        patch.setattr(streamed, "FILE", 400)
        write_splats(tmp_path / "lod-meta.json", scene, WriteOptions(levels=3))
    for path in ours.parent.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / path.relative_to(ours.parent)).read_bytes(), path.name


@pytest.mark.parametrize("level", [0, 1, 2])
def test_splat_transform_reads_every_level_as_we_do(level: int, ours: Path, tmp_path: Path) -> None:
    splat_transform("-L", str(level), ours, tmp_path / "theirs.ply")
    mine, theirs = read_splats(ours, level), read_ply(tmp_path / "theirs.ply")
    # It takes whole files in their order, we the leaves of the tree: compared by place.
    assert mine.count == theirs.count == [1500, 750, 375][level]
    assert_same(in_order(mine), in_order(theirs))


def in_order(scene: Gaussians) -> Gaussians:
    return scene.take(np.lexsort(np.round(scene.means.astype(float), 4).T))


def test_we_read_splat_transform_s_levels_as_it_does(tmp_path: Path) -> None:
    # One degree: its k-means on the CPU would take most of a minute with three.
    fine, coarse = random_scene(COUNT, degree=1), random_scene(300, degree=1, seed=4)
    write_ply(tmp_path / "fine.ply", fine)
    write_ply(tmp_path / "coarse.ply", coarse)
    target = tmp_path / "theirs" / "lod-meta.json"
    splat_transform(
        "-g", "cpu", "-i", "1", tmp_path / "fine.ply", "-l", "0", tmp_path / "coarse.ply", "-l", "1", target
    )
    assert read_manifest(target).counts == [COUNT, 300]
    for level, name in ((0, "fine"), (1, "coarse")):
        splat_transform("-L", str(level), target, tmp_path / f"{name}-back.ply")
        assert_same(in_order(read_splats(target, level)), in_order(read_ply(tmp_path / f"{name}-back.ply")))


def test_convert_writes_levels_and_reads_any_of_them(scene: Gaussians, tmp_path: Path) -> None:
    write_ply(tmp_path / "scene.ply", scene)
    done = convert(tmp_path / "scene.ply", tmp_path / "out" / "lod-meta.json", levels=2)
    assert (done.splats_in, done.splats_out) == (COUNT, COUNT)
    assert done.bytes_out == bytes_of(tmp_path / "out" / "lod-meta.json")
    back = convert(tmp_path / "out" / "lod-meta.json", tmp_path / "coarse.ply", level=1)
    assert back.splats_out == 750 and read_ply(tmp_path / "coarse.ply").count == 750


@pytest.mark.parametrize(
    ("source", "target", "options", "says"),
    [
        ("a.ply", "out/other-lod-meta.json", {}, "only name"),
        ("a.ply", "a.sog", {"levels": 2}, "--levels"),
        ("a.ply", "a.sog", {"page": True}, "--page"),
        ("a.ply", "b.ply", {"level": 1}, "no levels of detail"),
        ("full/lod-meta.json", "b.ply", {"level": 3}, "levels 0 to 1"),
        ("a.ply", "full/lod-meta.json", {}, "in this folder"),
    ],
)
def test_senseless_requests(source: str, target: str, options: dict, says: str, tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", random_scene(20))
    write_splats(tmp_path / "full" / "lod-meta.json", random_scene(20), WriteOptions(levels=2))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=says):
        convert(tmp_path / source, tmp_path / target, **options)
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] in ([], [tmp_path / "out"])


def test_nothing_is_left_of_a_scene_that_cannot_be_written(tmp_path: Path) -> None:
    scene = random_scene(10)
    scene.log_scales[3, 1] = np.nan
    with pytest.raises(InvalidArtifact, match="not finite"):
        write_splats(tmp_path / "lod-meta.json", scene)
    assert list(tmp_path.iterdir()) == []


def test_an_environment_is_part_of_every_level(ours: Path, tmp_path: Path) -> None:
    shutil.copytree(ours.parent, tmp_path / "out")
    path = tmp_path / "out" / "lod-meta.json"
    meta = json.loads(path.read_text())
    counts = [read_splats(path, level).count for level in range(3)]
    extra = read_rows(path, meta["filenames"][0])
    shutil.copytree(path.parent / meta["filenames"][0].split("/")[0], path.parent / "env")
    path.write_text(json.dumps(meta | {"environment": "env/meta.json"}))
    assert [read_splats(path, level).count for level in range(3)] == [count + len(extra) for count in counts]


def leaf_of(meta: dict[str, Any]) -> dict[str, Any]:
    return leaves(meta["tree"])[0]["lods"]["0"]


def share_rows(meta: dict[str, Any]) -> None:
    first, second = (leaf["lods"]["0"] for leaf in leaves(meta["tree"])[:2])
    second.update(first)
    meta["counts"] = None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda meta: meta.update(version=2), "version is 2"),
        (lambda meta: meta.update(lodLevels=10**9), "levels"),
        (lambda meta: meta.update(lodLevels=2), "has a level '2' of 2"),
        (lambda meta: meta.update(counts=[1, 2, 3]), "counts"),
        (lambda meta: meta["filenames"].__setitem__(0, "../0_0/meta.json"), "only a meta.json"),
        (lambda meta: meta["filenames"].__setitem__(0, "/etc/meta.json"), "only a meta.json"),
        (lambda meta: meta["filenames"].__setitem__(0, "https://example.com/meta.json"), "only a meta.json"),
        (lambda meta: meta["filenames"].__setitem__(0, meta["filenames"][1]), "twice"),
        (lambda meta: meta["filenames"].__setitem__(0, "9_9/meta.json"), "unpacked|missing"),
        (lambda meta: meta.update(environment="../x/meta.json"), "only a meta.json"),
        (lambda meta: leaf_of(meta).update(file=99), "points at nothing"),
        (lambda meta: leaf_of(meta).update(offset=-1), "points at nothing"),
        (lambda meta: leaf_of(meta).update(count=2**40), "points at nothing"),
        (lambda meta: (leaf_of(meta).update(offset=10**6), meta.pop("counts")), "splats, not"),
        (share_rows, "share splats"),
        (lambda meta: meta.pop("tree"), "KeyError"),
        (lambda meta: meta.update(tree=[]), "AttributeError"),
        (lambda meta: meta.update(tree={}), "counts|no splats"),
    ],
)
def test_false_manifests(change: Callable[[dict], None], says: str, ours: Path, tmp_path: Path) -> None:
    shutil.copytree(ours.parent, tmp_path / "out")
    meta = json.loads(ours.read_text())
    change(meta)
    with little_memory():
        (tmp_path / "out" / "lod-meta.json").write_text(json.dumps(meta))
        assert re.search(says, refused_at(tmp_path / "out" / "lod-meta.json"))


def test_a_folder_that_leads_elsewhere_is_not_followed(ours: Path, tmp_path: Path) -> None:
    shutil.copytree(ours.parent, tmp_path / "out")
    unit = tmp_path / "out" / read_manifest(ours).filenames[0].split("/")[0]
    unit.rename(tmp_path / "elsewhere")
    unit.symlink_to(tmp_path / "elsewhere")
    assert "leads out of its folder" in refused_at(tmp_path / "out" / "lod-meta.json")


def test_pictures_elsewhere_are_not_read(ours: Path, tmp_path: Path) -> None:
    shutil.copytree(ours.parent, tmp_path / "out")
    unit = tmp_path / "out" / read_manifest(ours).filenames[0]
    shutil.copy(unit.with_name("means_l.webp"), tmp_path / "out")
    unit.write_text(unit.read_text().replace('"means_l.webp"', '"../means_l.webp"'))
    assert "'../means_l.webp' is missing" in refused_at(tmp_path / "out" / "lod-meta.json")


def mutate(ours: Path, folder: Path, count: int, seed: int) -> int:
    """Damage one file at a time: the manifest half of the time, else any other."""
    shutil.copytree(ours.parent, folder / "out")
    path, rng, refusals = folder / "out" / "lod-meta.json", random.Random(seed), 0
    others = sorted(file for file in path.parent.rglob("*.*") if file != path)
    with little_memory():
        for number in range(count):
            victim = path if number % 2 else rng.choice(others)
            whole = victim.read_bytes()
            victim.write_bytes(damaged(whole, rng))
            try:
                refusals += bool(refused_at(path))
            finally:
                victim.write_bytes(whole)
    return refusals


def refused_at(path: Path) -> str:
    """The one sentence about a scene, which may name a file beside it, or nothing if it is read and sound."""
    try:
        found = read_splats(path)
    except InvalidArtifact as error:
        assert "\n" not in str(error) and str(path.parent) in str(error) and len(str(error)) < 500, error
        return str(error)
    assert found.count > 0 and all(np.isfinite(values).all() for values in vars(found).values())
    return ""


def test_random_damage(ours: Path, tmp_path: Path) -> None:
    assert mutate(ours, tmp_path, 60, 1) > 5


@pytest.mark.soak
def test_random_damage_at_length(ours: Path, tmp_path: Path) -> None:
    assert mutate(ours, tmp_path, 500, 2) > 50
