"""Decoding streamed SOG (`lod-meta.json`), trusting nothing in it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, UsageError
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.stages.compression.codecs.base import Damaged
from reconstruction_pipeline.stages.compression.codecs.sog_reader import read_sog_folder

META_LIMIT = 1 << 26
MAX_LEVELS = 64
# A name in a folder or two below; nothing that climbs, and nothing that a system might read as more than a name.
UNIT = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]*/){0,2}meta\.json")


@dataclass(frozen=True)
class Piece:
    """Rows `offset` … `offset + count` of a file."""

    file: int
    offset: int
    count: int


@dataclass(frozen=True)
class Manifest:
    """`filenames` relative to `lod-meta.json`; `pieces` of each level; `environment`: a file that is always shown."""

    filenames: tuple[str, ...]
    pieces: tuple[tuple[Piece, ...], ...]
    environment: str | None

    @property
    def counts(self) -> list[int]:
        """Splats of each level, without the environment."""
        return [sum(piece.count for piece in pieces) for pieces in self.pieces]


def read_manifest(path: Path) -> Manifest:
    """What a `lod-meta.json` says; raises `InvalidArtifact` in one sentence when it makes no sense."""
    try:
        if path.stat().st_size > META_LIMIT:
            raise Damaged(f"it has more than {META_LIMIT >> 20} MB")
        return _manifest(json.loads(path.read_bytes()))
    except Damaged as error:
        reason = str(error)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        reason = f"it is not that of a streamed SOG ({type(error).__name__}: {str(error)[:120]})"
    except OSError as error:
        reason = f"it cannot be read ({error.strerror})"
    raise InvalidArtifact(f"{path}: not a readable lod-meta.json, {reason}; make it again.")


def read_level(path: Path, level: int) -> Gaussians:
    """One level, 0 the finest, with the environment if there is one.

    Raises `UsageError` for a level that the scene has not, `InvalidArtifact` for damaged or missing files.
    """
    manifest = read_manifest(path)
    if not 0 <= level < len(manifest.pieces):
        raise UsageError(f"{path}: has the levels 0 to {len(manifest.pieces) - 1}, so there is no level {level}.")
    parts = []
    by_file: dict[int, list[Piece]] = {}
    for piece in manifest.pieces[level]:
        by_file.setdefault(piece.file, []).append(piece)
    for file, pieces in sorted(by_file.items()):
        scene = read_sog_folder(_inside(path, manifest.filenames[file]))
        for piece in pieces:
            if piece.offset + piece.count > scene.count:
                raise InvalidArtifact(
                    f"{path}: {manifest.filenames[file]} has {scene.count} splats, not "
                    f"{piece.offset + piece.count}; make it again."
                )
        rows = np.concatenate([np.arange(piece.offset, piece.offset + piece.count) for piece in pieces])
        parts.append(scene.take(rows))
    if manifest.environment is not None:
        parts.append(read_sog_folder(_inside(path, manifest.environment)))
    if not parts:
        raise InvalidArtifact(f"{path}: level {level} has no splats; make it again.")
    return Gaussians(*(np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])))


def stored_files(path: Path) -> list[Path]:
    """`lod-meta.json` and every file of the folders that it names."""
    manifest = read_manifest(path)
    units = [*manifest.filenames, *([manifest.environment] if manifest.environment else [])]
    return [path, *(file for unit in units for file in sorted((path.parent / unit).parent.iterdir()) if file.is_file())]


def _inside(path: Path, unit: str) -> Path:
    """A file named by the manifest; links that lead out of its folder are not followed."""
    target = path.parent / unit
    if not target.resolve().is_relative_to(path.parent.resolve()):
        raise InvalidArtifact(f"{path}: {unit} leads out of its folder; make it again.")
    return target


def _manifest(meta: Any) -> Manifest:
    if meta.get("version", 1) != 1:
        raise Damaged(f"its version is {meta['version']!r}, not 1")
    levels = meta["lodLevels"]
    if type(levels) is not int or not 0 < levels <= MAX_LEVELS:
        raise Damaged(f"it claims {levels!r} levels")
    filenames = tuple(_unit(name) for name in meta["filenames"])
    if len(set(filenames)) != len(filenames):
        raise Damaged("it names a file twice")
    pieces: list[list[Piece]] = [[] for _ in range(levels)]
    nodes = [meta["tree"]]
    while nodes:
        node = nodes.pop()
        for key, place in (node.get("lods") or {}).items():
            pieces[_level(key, levels)].append(_piece(place, len(filenames)))
        # The order of the tree: what lies beside each other stays so.
        nodes.extend(reversed(node.get("children") or []))
    _require_disjoint([piece for level in pieces for piece in level])
    counts = meta.get("counts")
    if counts is not None and counts != [sum(piece.count for piece in level) for level in pieces]:
        raise Damaged("its counts are not those of its tree")
    environment = meta.get("environment")
    kept = tuple(tuple(piece for piece in level if piece.count) for level in pieces)
    return Manifest(filenames, kept, None if environment is None else _unit(environment))


def _unit(name: Any) -> str:
    if not isinstance(name, str) or not UNIT.fullmatch(name):
        raise Damaged(f"it names the file {str(name)[:80]!r}, and only a meta.json in a folder below is followed")
    return name


def _level(key: str, levels: int) -> int:
    if not (key.isascii() and key.isdigit()) or len(key) > 3 or int(key) >= levels:
        raise Damaged(f"it has a level {key[:20]!r} of {levels}")
    return int(key)


def _piece(place: Any, files: int) -> Piece:
    numbers = (place["file"], place["offset"], place["count"])
    if not all(type(number) is int and 0 <= number < 1 << 32 for number in numbers) or numbers[0] >= files:
        raise Damaged("a leaf of its tree points at nothing")
    return Piece(*numbers)


def _require_disjoint(pieces: list[Piece]) -> None:
    """No splat may be in two leaves: a small file could otherwise become a scene of any size."""
    end = (-1, 0)
    for piece in sorted((piece for piece in pieces if piece.count), key=lambda piece: (piece.file, piece.offset)):
        if piece.file == end[0] and piece.offset < end[1]:
            raise Damaged("leaves of its tree share splats")
        end = (piece.file, piece.offset + piece.count)
