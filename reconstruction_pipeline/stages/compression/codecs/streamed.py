"""Streamed SOG: a folder of SOG pictures by level of detail and place, and `lod-meta.json` that says what is where.

The layout is PlayCanvas' (version 1, as splat-transform 3.7 reads and writes it): a tree of boxes whose leaves say, for
each level, in which file their splats are and from which row on. A viewer loads the coarsest level first, then what is
near. Every file is an unpacked SOG v2 of one level, so it is written as `sog.py` does, with the weights of the whole
level.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline import __version__
from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.stages.compression.codecs.base import WriteOptions, degree_to_write, require_writable
from reconstruction_pipeline.stages.compression.codecs.ordering import morton_order
from reconstruction_pipeline.stages.compression.codecs.sensitivity import sensitivity_of
from reconstruction_pipeline.stages.compression.codecs.sog import Whole, encode
from reconstruction_pipeline.stages.compression.codecs.streamed_reader import read_level
from reconstruction_pipeline.stages.compression.codecs.texture import webp
from reconstruction_pipeline.stages.compression.levels import (
    Cell,
    Level,
    cells_of,
    leaves,
    level_counts,
    levels_of,
    octree,
)
from reconstruction_pipeline.stages.compression.levels.fitting import fitted
from reconstruction_pipeline.stages.compression.levels.mixture import Mixture

NAME = "lod-meta.json"
STEP = 2.0**0.5
"""Half of the splats are meant for pictures with half of the pixels, which is the viewer's next step away."""
CELL = 16_384
"""Most splats of the finest level in a cell, which is what changes its level at once."""
FILE = 65_536
"""Files are closed with so many splats: each then has an entry of its own in SOG's palette of view-dependent colour."""

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _File:
    """One SOG: the level, the rows of its splats in that level, and (cell, first row in the file, count) of pieces."""

    level: int
    rows: Rows
    pieces: list[tuple[int, int, int]]


class StreamedSogCodec:
    """`lod-meta.json` and the folders beside it; read by splat-transform, PlayCanvas and SuperSplat's viewer."""

    name = "streamed SOG"
    suffix = NAME

    def read(self, path: Path) -> Gaussians:
        """The finest level; raises `InvalidArtifact` for anything that is not a whole streamed scene."""
        return read_level(path, 0)

    def write(self, path: Path, gaussians: Gaussians, options: WriteOptions) -> None:
        """Write `path` and a folder for each file beside it; raises `UsageError` where such folders are already."""
        require_writable(path, gaussians)
        if path.name.removesuffix(".part") != NAME:
            raise UsageError(f"{path.with_name(NAME)} is the only name that viewers know a streamed scene by; use it.")
        if (path.parent / NAME).exists() or any(path.parent.glob("[0-9]*_[0-9]*")):
            raise UsageError(f"{path.parent}: there is a streamed scene in this folder; give a new one.")
        root = octree(gaussians.means, CELL)
        levels = levels_of(gaussians, cells_of(root), level_counts(gaussians.count, options.levels))
        if options.views:
            levels[1:] = [
                Level(fitted(level.scene, gaussians, options.views, STEP**number, options.seed), level.cells)
                for number, level in enumerate(levels[1:], 1)
            ]
        files = [file for number, level in enumerate(levels) for file in _files(number, level, FILE)]
        names = _names(files)
        try:
            _write_files(path.parent, names, files, levels, degree_to_write(gaussians, options), options)
            path.write_text(json.dumps(_described(root, levels, files, names)))
        except BaseException:
            for name in names:
                shutil.rmtree(path.parent / Path(name).parent, ignore_errors=True)
            raise


def _files(number: int, level: Level, most: int) -> Iterator[_File]:
    """The splats of a level cell by cell, cut into files of at least `most` (but for the last)."""
    order = np.argsort(level.cells, kind="stable")
    starts = np.flatnonzero(np.diff(level.cells[order], prepend=-1))
    parts: list[Rows] = []
    pieces: list[tuple[int, int, int]] = []
    filled = 0
    for rows in np.split(order, starts[1:]):
        pieces.append((int(level.cells[rows[0]]), filled, len(rows)))
        parts.append(rows[_along_curve(level.scene.means[rows])])
        filled += len(rows)
        if filled >= most:
            yield _File(number, np.concatenate(parts), pieces)
            parts, pieces, filled = [], [], 0
    if parts:
        yield _File(number, np.concatenate(parts), pieces)


def _along_curve(means: npt.NDArray[np.float32]) -> Rows:
    low, high = means.min(axis=0), means.max(axis=0)
    return morton_order(((means - low) / np.maximum(high - low, 1e-12) * 65535.0).astype(np.uint16))


def _names(files: list[_File]) -> list[str]:
    """`<level>_<number>/meta.json`, numbered within the level."""
    seen: dict[int, int] = {}
    names = []
    for file in files:
        number = seen.get(file.level, 0)
        seen[file.level] = number + 1
        names.append(f"{file.level}_{number}/meta.json")
    return names


def _write_files(
    folder: Path, names: list[str], files: list[_File], levels: list[Level], degree: int, options: WriteOptions
) -> None:
    """One price for all, that of the whole scene: a bit costs the same in every file and level."""
    for number, level in enumerate(levels):
        # Rendered as a whole: what a file's splats hide or are hidden by may be in another one.
        seen = sensitivity_of(level.scene, options.views, options.seed)
        for name, file in zip(names, files, strict=True):
            if file.level != number:
                continue
            whole = Whole(levels[0].scene.count, seen.take(file.rows))
            meta, pictures = encode(level.scene.take(file.rows), degree, options, whole)
            target = folder / name
            target.parent.mkdir()
            target.write_text(json.dumps(meta))
            for picture, pixels in pictures.items():
                (target.parent / picture).write_bytes(webp(pixels))


def _described(root: Cell, levels: list[Level], files: list[_File], names: list[str]) -> dict[str, Any]:
    counts = [level.scene.count for level in levels]
    places: list[dict[str, Any]] = [{} for _ in leaves(root)]
    for index, file in enumerate(files):
        for cell, offset, count in file.pieces:
            places[cell][str(file.level)] = {"file": index, "offset": offset, "count": count}
    low, high = _bounds(levels, len(places))
    numbers = iter(range(len(places)))
    return {
        "version": 1,
        "asset": {"generator": f"reconstruction_pipeline {__version__}"},
        "count": sum(counts),
        "counts": counts,
        "lodLevels": len(levels),
        "lodErrors": False,
        "filenames": names,
        "tree": _tree(root, numbers, places, low, high),
    }


def _tree(
    cell: Cell, numbers: Iterator[int], places: list[dict[str, Any]], low: npt.NDArray[Any], high: npt.NDArray[Any]
) -> dict[str, Any]:
    """A node of the tree; leaves are numbered as `leaves` gives them."""
    if not cell.children:
        number = next(numbers)
        return {"bound": _box(low[number], high[number]), "lods": places[number]}
    children = [_tree(child, numbers, places, low, high) for child in cell.children]
    corners = [np.array([child["bound"][end] for child in children]) for end in ("min", "max")]
    return {"bound": _box(corners[0].min(axis=0), corners[1].max(axis=0)), "children": children}


def _bounds(levels: list[Level], cells: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Boxes (cells, 3) around the splats of every level, one sigma wide, as the reference tool has them."""
    low, high = np.full((cells, 3), np.inf), np.full((cells, 3), -np.inf)
    for level in levels:
        mixture = Mixture.of(level.scene)
        reach = np.sqrt(mixture.covariances[:, [0, 3, 5]])
        np.minimum.at(low, level.cells, mixture.means - reach)
        np.maximum.at(high, level.cells, mixture.means + reach)
    return low, high


def _box(low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> dict[str, list[float]]:
    return {"min": [float(f"{x:.7g}") for x in low], "max": [float(f"{x:.7g}") for x in high]}
