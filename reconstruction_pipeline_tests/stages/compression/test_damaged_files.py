"""Damaged and hostile files of every format: one sentence or a sound scene, no crash, no large allocation."""

from __future__ import annotations

import gzip
import io
import json
import random
import resource
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.stages.compression.codecs import (
    CODECS,
    WRITE_ONLY,
    WriteOptions,
    read_splats,
    write_splats,
)
from reconstruction_pipeline_tests.stages.compression.damage import damaged
from reconstruction_pipeline_tests.stages.compression.ksplat_files import ksplat_bytes
from reconstruction_pipeline_tests.stages.compression.scenes import random_scene

FILES = {
    "a.ply": WriteOptions(),
    "a.compressed.ply": WriteOptions(),
    "a.sog": WriteOptions(palette=16),
    "v2.spz": WriteOptions(spz_version=2),
    "a.spz": WriteOptions(spz_version=3),
    "v4.spz": WriteOptions(spz_version=4),
    "raw.spz": WriteOptions(spz_version=3),
    "a.splat": WriteOptions(),
    "a.glb": WriteOptions(),
}
NAMES = [*FILES, "0.ksplat", "1.ksplat", "2.ksplat"]
LIMIT = 24_000_000  # bytes, for files of less than 100 kB


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    for name, options in FILES.items():
        write_splats(folder / name, random_scene(300), options)
    data = {name: (folder / name).read_bytes() for name in FILES}
    data["raw.spz"] = gzip.decompress(data["raw.spz"])
    data |= {f"{level}.ksplat": ksplat_bytes(random_scene(300), level) for level in (0, 1, 2)}
    # A streamed scene is many files: codecs/test_streamed.py.
    assert {f".{name.split('.', 1)[1]}" for name in data} == set(CODECS) - WRITE_ONLY - {"lod-meta.json"}
    return data


@contextmanager
def little_memory() -> Iterator[None]:
    """Fails if what is inside allocates much: in Python and NumPy, or (coarser) anywhere in the process."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < LIMIT
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident) * 1024 < 4 * LIMIT


def refused(path: Path, data: bytes) -> str:
    """The one sentence about a file, or nothing if it is read; a scene that is read is sound."""
    path.write_bytes(data)
    try:
        scene = read_splats(path)
    except InvalidArtifact as error:
        assert "\n" not in str(error) and str(path) in str(error) and len(str(error)) < 400, error
        return str(error)
    assert scene.count > 0 and all(np.isfinite(values).all() for values in vars(scene).values())
    return ""


def mutate(name: str, data: bytes, count: int, seed: int, folder: Path) -> int:
    rng = random.Random(seed)
    with little_memory():
        return sum(bool(refused(folder / name, damaged(data, rng))) for _ in range(count))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_random_damage(name: str, whole: dict[str, bytes], tmp_path: Path) -> None:
    assert refused(tmp_path / name, whole[name]) == ""
    assert mutate(name, whole[name], 60, 1, tmp_path) > 5


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(NAMES))
def test_random_damage_at_length(name: str, whole: dict[str, bytes], tmp_path: Path) -> None:
    assert mutate(name, whole[name], 500, 2, tmp_path) > 50


@pytest.mark.parametrize("name", sorted(NAMES))
def test_files_that_are_cut_short_are_refused(name: str, whole: dict[str, bytes], tmp_path: Path) -> None:
    data = whole[name]
    # A .splat has no header: cut between two splats it is a whole file of fewer.
    for length in (0, 1, 3, 10, 15, 31, len(data) // 3 * 2 + 1, len(data) - 1):
        if length % 32 or name != "a.splat" or length == 0:
            assert refused(tmp_path / name, data[:length]), length


@pytest.mark.parametrize("name", sorted(NAMES))
def test_files_of_another_kind_are_refused(name: str, whole: dict[str, bytes], tmp_path: Path) -> None:
    foreign = [data for other, data in whole.items() if Path(other).suffix != Path(name).suffix and other != "a.splat"]
    for data in [*foreign, b"I am a letter.", b"\x1f\x8b", b"PK\x03\x04", b"glTF", b"NGSP", bytes(1000)]:
        # Bytes of a multiple of 32 may by chance be splats; they must then be finite, which `refused` checks.
        assert refused(tmp_path / name, data) or name == "a.splat"


def spz_header(count: int, version: int = 3, degree: int = 3, bits: int = 12, flags: int = 0) -> bytes:
    return struct.pack("<4sIIBBBB", b"NGSP", version, count, degree, bits, flags, 0)


def zipped(data: bytes) -> bytes:
    """Without the time, which would make a test's name differ between the processes that collect it."""
    return gzip.compress(data, mtime=0)


def spz_records(kind: int) -> bytes:
    body = bytes(2 * (9 + 1 + 3 + 3) + 8)
    return zipped(spz_header(2, degree=0, flags=2) + body + struct.pack("<III", kind, 4, 7))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (zipped(spz_header(0xFFFFFFFF)), "claims 4294967295 splats"),
        (zipped(spz_header(0)), "claims 0 splats"),
        (zipped(spz_header(5)), "ends before"),
        (zipped(spz_header(5, version=1) + bytes(999)), "version is 1"),
        (zipped(spz_header(5, version=4) + bytes(999)), "wrapping"),
        (zipped(spz_header(5, degree=4) + bytes(999)), "degree 4"),
        (zipped(spz_header(5, bits=200) + bytes(999)), "fractional bits"),
        (zipped(spz_header(100_000) + bytes(100_000 * 65)), "claims 100000 splats"),
        (spz_header(5, version=4) + struct.pack("<I12x", 10**9), "table"),
        (spz_header(5, version=4), "within its header"),
        (spz_records(0xADBE0003), "coordinate system"),
        (spz_records(0xADBE0001), "SH quantisation"),
    ],
)
def test_false_spz(data: bytes, says: str, tmp_path: Path) -> None:
    with little_memory():
        assert says in refused(tmp_path / "a.spz", data)


def test_spz_checks_its_checksum_and_reads_past_records_it_may_ignore(whole: dict[str, bytes], tmp_path: Path) -> None:
    data = bytearray(whole["a.spz"])
    data[-6] ^= 1
    assert "unpacked" in refused(tmp_path / "a.spz", bytes(data))
    assert refused(tmp_path / "a.spz", spz_records(0xADBE0002)) == ""


def test_zstd_that_claims_more_than_it_should(whole: dict[str, bytes], tmp_path: Path) -> None:
    import zstandard

    bomb = zstandard.ZstdCompressor().compress(bytes(200_000_000))
    table = struct.pack("<4Q", len(bomb), 2700, 0, 0) + bytes(64)
    with little_memory():
        path = tmp_path / "a.spz"
        header = struct.pack("<4sIIBBBBI12x", b"NGSP", 4, 300, 0, 12, 0, 5, 32)
        assert refused(path, header + table[:16] + bytes(64) + bomb)
        sizes = (2700, 300, 900, 900, 1200)
        table = b"".join(struct.pack("<QQ", len(bomb), size) for size in sizes)
        # Each stream holds far more than it may: only what is needed is unpacked.
        refused(path, header + table + 5 * bomb)


@pytest.mark.parametrize("name", ["a.ply", "a.compressed.ply"])
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"element vertex 300", b"element vertex 999999999999", "do not fit"),
        (b"element vertex 300", b"element vertex 301", "do not fit|groups"),
        (b"element vertex 300", b"element vertex 0", "groups|no splat"),
        (b"element vertex 300", b"element vertex -1", "has the line"),
        (b"end_header\n", b"end_header", "does not end"),
        (b"format binary_little_endian", b"format ascii", "do not fit|not a readable|packed"),
        (b"format binary_little_endian 1.0\n", b"", "no format"),
        (b"element vertex", b"comment " + b"x" * 70_000 + b"\nelement vertex", "within 65536 bytes"),
    ],
)
def test_false_ply_headers(
    name: str, old: bytes, new: bytes, says: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    import re

    with little_memory():
        assert re.search(says, refused(tmp_path / name, whole[name].replace(old, new, 1)))


def test_false_ply_properties(whole: dict[str, bytes], tmp_path: Path) -> None:
    data = whole["a.ply"]
    mesh = data.replace(b"property float x\n", b"property list uchar int x\n", 1)
    assert "mesh" in refused(tmp_path / "a.ply", mesh)
    assert "'x' is missing" in refused(
        tmp_path / "a.ply", data.replace(b"property float x\n", b"property float q\n", 1)
    )
    assert "SH degree" in refused(tmp_path / "a.ply", data.replace(b"f_rest_44", b"f_more_44", 1))
    assert refused(tmp_path / "a.ply", data.replace(b"property float y\n", b"property float x\n", 1))
    packed = whole["a.compressed.ply"]
    narrow = packed.replace(b"property uint packed_scale", b"property float packed_scale", 1)
    assert "'packed_scale'" in refused(tmp_path / "a.compressed.ply", narrow)
    assert "'min_x'" in refused(tmp_path / "a.compressed.ply", packed.replace(b"float min_x", b"float mid_x", 1))


def glb(meta: object, body: bytes) -> bytes:
    text = json.dumps(meta).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(body)
    return (
        struct.pack("<4sII", b"glTF", 2, size) + struct.pack("<I4s", len(text), b"JSON") + text
        + struct.pack("<I4s", len(body), b"BIN\0") + body
    )  # fmt: skip


def edited(*keys: str | int, value: object) -> Callable[[dict], None]:
    def apply(meta: dict) -> None:
        target = meta
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = value

    return apply


SPLATS = ("meshes", 0, "primitives", 0)
EXTENSION = (*SPLATS, "extensions", "KHR_gaussian_splatting")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (edited("accessors", 0, "count", value=10**12), "do not fit"),
        (edited("accessors", 0, "count", value=301), "do not fit"),
        (edited("accessors", 0, "count", value=-1), "number"),
        (edited("accessors", 3, "count", value=299), "299 values for 300 splats"),
        (edited("accessors", 0, "byteOffset", value=10**9), "do not fit"),
        (edited("accessors", 0, "bufferView", value=10**9), "IndexError"),
        (edited("accessors", 0, "componentType", value=1), "KeyError"),
        (edited("accessors", 2, "type", value="VEC3"), "4 numbers are needed"),
        (edited("accessors", 0, "sparse", value={}), "sparse"),
        (edited("bufferViews", 0, "byteStride", value=1), "do not fit"),
        (edited("bufferViews", 0, "byteStride", value=2**40), "do not fit"),
        (edited("buffers", 0, "uri", value="../../../../etc/passwd"), "not followed"),
        (edited("buffers", 0, "uri", value="https://example.com/a.bin"), "not followed"),
        (edited("extensionsRequired", value=["KHR_draco_mesh_compression"]), "KHR_draco"),
        (edited("nodes", 0, "children", value=[0]), "tree"),
        (edited("nodes", 0, "scale", value=[2, 2, 2]), "scale"),
        (edited("scenes", 0, "nodes", value=[7]), "IndexError"),
        (edited("scenes", 0, "nodes", value=[]), "no splats"),
        (edited(*SPLATS, "extensions", value={}), "no splats"),
        (edited(*EXTENSION, "kernel", value="cube"), "kernel"),
        (edited(*EXTENSION, "colorSpace", value="lin_rec709_display"), "colour space"),
        (edited(*EXTENSION, "extensions", value={"KHR_x_spz": {}}), "KHR_x_spz"),
        (edited(*SPLATS, "attributes", value={"POSITION": 0}), "KeyError"),
        (edited("meshes", value=None), "TypeError"),
    ],
)
def test_false_gltf(change: Callable[[dict], None], says: str, whole: dict[str, bytes], tmp_path: Path) -> None:
    data = whole["a.glb"]
    (length,) = struct.unpack_from("<I", data, 12)
    meta, body = json.loads(data[20 : 20 + length]), data[28 + length :]
    change(meta)
    with little_memory():
        assert says in refused(tmp_path / "a.glb", glb(meta, body))


def test_gltf_that_multiplies_its_data(whole: dict[str, bytes], tmp_path: Path) -> None:
    data = whole["a.glb"]
    (length,) = struct.unpack_from("<I", data, 12)
    meta, body = json.loads(data[20 : 20 + length]), data[28 + length :]
    meta["meshes"][0]["primitives"] *= 1000
    with little_memory():
        assert "share positions" in refused(tmp_path / "a.glb", glb(meta, body))


@pytest.mark.parametrize("meta", [[], None, 3, {}, {"scenes": 5}, {"scenes": [{"nodes": "abc"}]}])
def test_gltf_without_a_scene(meta: object, tmp_path: Path) -> None:
    assert refused(tmp_path / "a.glb", glb(meta, bytes(64)))
    deep = b"[" * 100_000
    assert refused(tmp_path / "a.glb", struct.pack("<4sIII4s", b"glTF", 2, 20 + len(deep), len(deep), b"JSON") + deep)


def test_false_splat_records(tmp_path: Path) -> None:
    record = np.zeros(8, "<f4")
    for place, value in ((0, np.nan), (1, np.inf), (3, -1.0), (4, np.nan), (5, np.inf)):
        wrong = record.copy()
        wrong[place] = value
        assert refused(tmp_path / "a.splat", wrong.tobytes())
    assert refused(tmp_path / "a.splat", record.tobytes()) == ""


def test_a_sog_whose_paths_climb_reads_nothing_outside(whole: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "means_l.webp").write_bytes(b"outside")
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole["a.sog"])) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "meta.json":
                data = data.replace(b'"means_l.webp"', b'"../means_l.webp"')
            new.writestr(name, data)
    assert "'../means_l.webp' is missing" in refused(tmp_path / "a.sog", buffer.getvalue())
