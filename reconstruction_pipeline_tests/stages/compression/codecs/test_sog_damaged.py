"""Damaged and hostile files: one sentence, no crash, no large allocation."""

from __future__ import annotations

import json
import random
import tracemalloc
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.stages.compression.codecs import read_splats, write_splats
from reconstruction_pipeline_tests.stages.compression.scenes import random_scene


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("whole") / "scene.sog"
    write_splats(path, random_scene(300))
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def bundle(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def edit(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def apply(meta: dict[str, Any]) -> None:
        for dotted, value in changes.items():
            *parents, last = dotted.split("__")
            target = meta
            for parent in parents:
                target = target[parent]
            target[last] = value

    return apply


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (edit(version=1), "version"),
        (edit(count=0), "claims 0 splats"),
        (edit(count=10**12), "splats"),
        (edit(count=268_000_000), "too small"),
        (edit(count=2.5), "splats"),
        (edit(count="300"), "splats"),
        (edit(count=5000), "pixels"),
        (edit(means__mins=[1, 2]), "means.mins"),
        (edit(means__mins=[1e9, 0, 0]), "absurd"),
        (edit(means__maxs=[None, 0, 0]), "means.maxs"),
        (edit(means__files=["../../etc/passwd", "means_u.webp"]), "missing"),
        (edit(means__files=["meta.json", "means_u.webp"]), "unpacked"),
        (edit(scales__codebook=[0.0] * 255), "scales.codebook"),
        (edit(sh0__codebook=[float("nan")] * 256), "sh0.codebook"),
        (edit(shN__bands=4), "degree"),
        (edit(shN__count=10**9), "palette"),
        (edit(shN__count=1), "palette entry"),
        (edit(quats__files=["sh0.webp"]), "rotations"),
        (edit(quats=None), "meta.json"),
    ],
)
def test_false_metadata(
    change: Callable[[dict[str, Any]], None], says: str, members: dict[str, bytes], tmp_path: Path
) -> None:
    meta = json.loads(members["meta.json"])
    change(meta)
    path = bundle(tmp_path / "a.sog", members | {"meta.json": json.dumps(meta).encode()})
    with pytest.raises(InvalidArtifact, match=says) as caught:
        read_splats(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("meta", [b"", b"[]", b"{}", b"null", b"[" * 100_000, b"\xff\xfe", b'{"version": 2}'])
def test_meta_that_is_no_metadata(meta: bytes, members: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(InvalidArtifact):
        read_splats(bundle(tmp_path / "a.sog", members | {"meta.json": meta}))


def test_missing_members_empty_and_foreign_files(members: dict[str, bytes], tmp_path: Path) -> None:
    for name in members:
        rest = {key: data for key, data in members.items() if key != name}
        with pytest.raises(InvalidArtifact, match="missing"):
            read_splats(bundle(tmp_path / "a.sog", rest))
    for data in (b"", b"PK\x03\x04", b"ply\nformat ascii 1.0\n"):
        (tmp_path / "b.sog").write_bytes(data)
        with pytest.raises(InvalidArtifact):
            read_splats(tmp_path / "b.sog")
    with pytest.raises(InvalidArtifact, match="no such file"):
        read_splats(tmp_path / "absent.sog")


def test_bombs_are_refused_before_they_unpack(members: dict[str, bytes], tmp_path: Path) -> None:
    side = 16000
    meta = json.loads(members["meta.json"]) | {"count": side * side}
    picture = BytesIO()
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(picture, "WEBP", lossless=True)
    bomb = {name: picture.getvalue() for name in members} | {"meta.json": json.dumps(meta).encode()}
    zeros = members | {"means_l.webp": bytes(50_000_000)}
    long_meta = members | {"meta.json": b" " * 50_000_000}
    paths = [
        bundle(tmp_path / "pixels.sog", bomb),
        bundle(tmp_path / "zeros.sog", zeros, zipfile.ZIP_DEFLATED),
        bundle(tmp_path / "meta.sog", long_meta, zipfile.ZIP_DEFLATED),
    ]
    tracemalloc.start()
    try:
        for path in paths:
            with pytest.raises(InvalidArtifact):
                read_splats(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


def test_random_damage_never_crashes(members: dict[str, bytes], tmp_path: Path) -> None:
    whole = bundle(tmp_path / "whole.sog", members).read_bytes()
    rng = random.Random(7)
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        for _ in range(rng.randint(1, 8)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        path = tmp_path / "damaged.sog"
        path.write_bytes(bytes(data))
        try:
            scene = read_splats(path)
        except InvalidArtifact as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            assert all(np.isfinite(values).all() for values in vars(scene).values())
    assert refused > 100
