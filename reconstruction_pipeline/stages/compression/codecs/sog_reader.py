"""Decoding SOG v2, trusting nothing in the file."""

from __future__ import annotations

import json
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import SH_COEFFICIENTS
from reconstruction_pipeline.stages.compression.codecs.base import Damaged

META_LIMIT = 1 << 20
SMALL_PICTURE = 1 << 22  # pixels that may always be decoded (16 MB)
PIXELS_PER_BYTE = 1000  # a larger picture that unpacks by more than this holds no scene
PALETTE_COLUMNS = 64
MAX_PALETTE = 65536
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
MAX_WARPED = 80.0  # log(1 + |x|) of the largest float32 is 88.7

Bytes = npt.NDArray[np.uint8]


def read_sog(path: Path) -> Gaussians:
    """Decode a bundled SOG v2; raises `InvalidArtifact` in one sentence for anything else."""

    def decode() -> Gaussians:
        with zipfile.ZipFile(path) as archive:
            return _decode(_Bundle(archive, path.stat().st_size))

    return _or_refused(path, decode)


def read_sog_folder(path: Path) -> Gaussians:
    """Decode an unpacked SOG v2, given its `meta.json`; raises `InvalidArtifact` for anything else.

    Pictures are looked for beside it and nowhere else.
    """
    return _or_refused(path, lambda: _decode(_Folder(path.parent)))


def _or_refused(path: Path, decode: Callable[[], Gaussians]) -> Gaussians:
    try:
        return decode()
    except Damaged as error:
        reason = str(error)
    # What zipfile, json, Pillow and NumPy raise for hostile bytes; MemoryError is not among them on purpose.
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        reason = f"its meta.json is not that of a SOG v2 file ({type(error).__name__}: {_short(error)})"
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, SyntaxError) as error:
        reason = f"it cannot be unpacked ({_short(error)})"
    raise InvalidArtifact(f"{path}: not a readable SOG file, {reason}; make it again.")


def _short(text: object) -> str:
    """What a hostile file says, fit for a sentence: no line breaks, no control characters, no pages of it."""
    plain = "".join(c if c.isprintable() else "?" for c in str(text))
    return plain if len(plain) <= 100 else f"{plain[:100]}…"


class _Source:
    """Where `meta.json` and the pictures are."""

    largest_picture: int

    def member(self, name: Any, limit: int) -> bytes:
        """The content of a file of this name, of at most `limit` bytes."""
        raise NotImplementedError

    def picture(self, name: Any, width: int, height: int) -> Bytes:
        """(width * height, 4) pixels of a lossless WebP that must have this size."""
        from PIL import Image

        data = self.member(name, self.largest_picture)
        with warnings.catch_warnings(), Image.open(BytesIO(data), formats=["WEBP"]) as image:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            if width * height > max(SMALL_PICTURE, PIXELS_PER_BYTE * len(data)):
                raise Damaged(f"'{_short(name)}' is too small for {width}x{height} pixels")
            if image.size != (width, height):
                raise Damaged(f"'{_short(name)}' has {image.size[0]}x{image.size[1]} pixels, not {width}x{height}")
            return np.asarray(image.convert("RGBA")).reshape(-1, 4)


@dataclass(frozen=True)
class _Folder(_Source):
    """Files of a folder, links and other folders excluded."""

    folder: Path
    largest_picture: int = 1 << 30

    def member(self, name: Any, limit: int) -> bytes:
        plain = isinstance(name, str) and PLAIN_NAME.fullmatch(name)
        path = self.folder / name if plain else self.folder
        if path.is_symlink() or not path.is_file():
            raise Damaged(f"'{_short(name)}' is missing beside it")
        if path.stat().st_size > limit:
            raise Damaged(f"'{_short(name)}' has {path.stat().st_size} bytes")
        return path.read_bytes()


@dataclass(frozen=True)
class _Bundle(_Source):
    """The members of the zip, by name, with limits."""

    archive: zipfile.ZipFile
    file_bytes: int

    @property
    def largest_picture(self) -> int:  # type: ignore[override]
        """Stored pictures cannot be larger than the file; a packed one may, but not by much."""
        return 4 * self.file_bytes + META_LIMIT

    def member(self, name: Any, limit: int) -> bytes:
        if not isinstance(name, str) or name not in self.archive.namelist():
            raise Damaged(f"'{_short(name)}' is missing in it")
        info = self.archive.getinfo(name)
        if info.file_size > limit:
            raise Damaged(f"'{_short(name)}' claims {info.file_size} bytes")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Damaged(f"'{_short(name)}' is packed in an unusual way")
        return self.archive.read(info)


def _decode(bundle: _Source) -> Gaussians:
    meta = json.loads(bundle.member("meta.json", META_LIMIT))
    if meta.get("version") != 2:
        raise Damaged(f"its version is {meta.get('version')!r}, not 2")
    count = meta["count"]
    if type(count) is not int or not 0 < count <= 16380 * 16380:
        raise Damaged(f"it claims {count!r} splats")
    width = 4 * int(np.ceil(np.sqrt(count) / 4))
    height = 4 * int(np.ceil(count / width / 4))

    def pixels(section: str, index: int = 0) -> Bytes:
        return bundle.picture(meta[section]["files"][index], width, height)[:count]

    means = _means(meta["means"], pixels("means", 0), pixels("means", 1))
    quats = _quaternions(pixels("quats"))
    log_scales = _codebook(meta["scales"], "scales")[pixels("scales")[:, :3]]
    base = pixels("sh0")
    sh = np.zeros((count, 16, 3), np.float32)
    sh[:, 0] = _codebook(meta["sh0"], "sh0")[base[:, :3]]
    if meta.get("shN") is not None:
        labels = pixels("shN", 1)
        rest = _harmonics(bundle, meta["shN"], labels[:, 0].astype(np.int32) | (labels[:, 1].astype(np.int32) << 8))
        sh[:, 1 : 1 + rest.shape[1]] = rest
    # The extremes stand for half a step, so that a logit exists.
    opacity = np.clip(base[:, 3] / 255.0, 1 / 1020, 1 - 1 / 1020)
    logits = np.log(opacity / (1.0 - opacity)).astype(np.float32)
    return Gaussians(means, log_scales, quats, logits, sh)


def _means(meta: dict[str, Any], low: Bytes, high: Bytes) -> npt.NDArray[np.float32]:
    mins, maxs = (_numbers(meta[key], 3, f"means.{key}") for key in ("mins", "maxs"))
    if (mins > maxs).any() or max(np.abs(mins).max(), np.abs(maxs).max()) > MAX_WARPED:
        raise Damaged("its bounds of positions are absurd")
    grid = low[:, :3].astype(np.float64) + 256.0 * high[:, :3]
    warped = mins + grid / 65535.0 * (maxs - mins)
    return (np.sign(warped) * np.expm1(np.abs(warped))).astype(np.float32)


def _quaternions(pixels: Bytes) -> npt.NDArray[np.float32]:
    """(N, 4) unit wxyz from the smallest three."""
    dropped = pixels[:, 3].astype(np.int64) - 252
    if dropped.min() < 0:
        raise Damaged("its rotations have an unknown code")
    rest = (pixels[:, :3] / 255.0 - 0.5) * np.sqrt(2.0)
    quats = np.empty((len(pixels), 4))
    quats[np.arange(4) != dropped[:, None]] = rest.ravel()
    quats[np.arange(len(pixels)), dropped] = np.sqrt(np.maximum(1.0 - (rest**2).sum(axis=1), 0.0))
    return (quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32)


def _harmonics(bundle: _Source, meta: dict[str, Any], labels: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """(N, coefficients, 3) of the degrees above 0."""
    if meta["bands"] not in (1, 2, 3):
        raise Damaged(f"its spherical harmonics have degree {meta['bands']!r}")
    coefficients = SH_COEFFICIENTS[meta["bands"]] - 1
    size = meta["count"]
    if type(size) is not int or not 0 < size <= MAX_PALETTE:
        raise Damaged(f"its palette claims {size!r} entries")
    if labels.max() >= size:
        raise Damaged("a splat uses a palette entry that is not there")
    rows = -(-size // PALETTE_COLUMNS)
    codes = bundle.picture(meta["files"][0], PALETTE_COLUMNS * coefficients, rows)[:, :3]
    palette = _codebook(meta, "shN")[codes].reshape(-1, coefficients, 3)
    return palette[labels]


def _codebook(meta: dict[str, Any], name: str) -> npt.NDArray[np.float32]:
    return _numbers(meta["codebook"], 256, f"{name}.codebook").astype(np.float32)


def _numbers(values: Any, count: int, name: str) -> npt.NDArray[np.float64]:
    numbers = np.asarray(values, np.float64)
    if numbers.shape != (count,) or not np.isfinite(numbers).all() or np.abs(numbers).max() > 1e30:
        raise Damaged(f"'{name}' is not a list of {count} finite numbers")
    return numbers
