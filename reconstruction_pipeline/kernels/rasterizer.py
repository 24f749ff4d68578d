"""The differentiable Gaussian rasteriser on the CPU: buffers and the order of the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from reconstruction_pipeline.kernels.binning import GROUP, bin_into_tiles, sort_by_depth
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.layout import ROWS, aligned_zeros
from reconstruction_pipeline.kernels.projection import RECORD, RECT_BITS, TILE, camera_constants, project
from reconstruction_pipeline.kernels.projection_backward import project_backward
from reconstruction_pipeline.kernels.raster_backward import SCRATCH, SLOT_SIZE, rasterize_backward
from reconstruction_pipeline.kernels.raster_forward import FRAME, rasterize
from reconstruction_pipeline.kernels.slots import PAIRS_AT_ONCE, add_slots, assign_slots, bands, sum_per_gaussian

Array = NDArray[np.float32]
MOST_PAIRS = 2**31 - 2**20  # of (Gaussian, tile), which are numbered in 32 bits; their lists alone would take 12 GB


@dataclass(frozen=True)
class Rendered:
    """One picture.

    image (H,W,3) float32, linear blend over the background; alpha (H,W) in [0,1].  With depth: expected_depth (H,W),
    the blend-weighted mean z in scene units, 0 where alpha < 1e-6; median_depth (H,W), z where the transmittance
    falls through 0.5, 0 where it never does.  With contribution: (count,) blend weight summed over the pixels.
    """

    image: Array
    alpha: Array
    expected_depth: Array | None = None
    median_depth: Array | None = None
    contribution: Array | None = None


@dataclass(frozen=True)
class Prepared:
    """What blending and the backward pass need to know of a projected scene, beside the rasteriser's buffers."""

    count: int
    stride: int
    view: PinholeView
    camera: Array
    background: Array
    sh_degree: int
    pairs: int
    planes: Array
    tiles_x: int
    tiles_y: int
    depth: bool = False


class Rasterizer:
    """Renders Gaussians and differentiates the picture; keeps its buffers between calls.  Not re-entrant.

    threads: how many to use, at most numba's `NUMBA_NUM_THREADS` (all, if None).  Results do not depend on it.
    Two Python threads may each use a rasteriser of their own where numba runs on OpenMP or TBB (libgomp installed);
    its fall-back without them ends the process.  After the first call the process must not fork: spawn children.
    Memory: see `memory.memory_estimate`.  Backward needs 64 bytes per pair of Gaussian and tile touched, but goes over
    the picture in bands where that is more than `pairs_at_once` pairs (or what one row of tiles has).
    """

    def __init__(self, threads: int | None = None, *, pairs_at_once: int = PAIRS_AT_ONCE) -> None:
        available = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
        self.threads = max(1, min(threads or available, available))
        self.pairs_at_once = max(1, pairs_at_once)
        self._buffers: dict[str, Any] = {}
        self._counter = np.zeros(8, np.int64)
        self._last: Prepared | None = None

    def forward(
        self,
        planes: Array,
        count: int,
        view: PinholeView,
        *,
        sh_degree: int = 3,
        background: Sequence[float] = (0.0, 0.0, 0.0),
        near: float = 0.01,
        depth: bool = False,
        contribution: bool = False,
    ) -> Rendered:
        """Render the first `count` Gaussians of `planes` (59, capacity) from `view`.

        near is the smallest camera z drawn, in scene units.  Depth and contribution cost about half a rendering more.
        """
        last = self.prepare(planes, count, view, sh_degree=sh_degree, background=background, near=near)
        measure, shape = depth or contribution, (view.height, view.width)
        image, alpha = np.empty((*shape, 3), np.float32), np.empty(shape, np.float32)
        expected, median = (np.empty(shape if measure else (1, 1), np.float32) for _ in range(2))
        weights = self._floats("weights", last.pairs if measure else 1)[: last.pairs]
        weights[:] = 0.0
        buffers, tiles = self._buffers, last.tiles_x * last.tiles_y
        rasterize(
            view.width, view.height, last.tiles_x, tiles, last.background, buffers["starts"], buffers["groups"],
            buffers["done"], buffers["ids"], buffers["records"], buffers["words"], self._floats("frame", tiles * FRAME),
            image.reshape(-1), alpha.reshape(-1), measure, expected.reshape(-1), median.reshape(-1), weights,
            self._counter, self.threads,
        )  # fmt: skip
        self._last = replace(last, depth=depth)
        summed = np.zeros(last.count, np.float32) if contribution else None
        if summed is not None:
            sum_per_gaussian(last.pairs, buffers["ids"], weights, summed)
        return Rendered(image, alpha, expected if depth else None, median if depth else None, summed)

    def prepare(
        self,
        planes: Array,
        count: int,
        view: PinholeView,
        *,
        sh_degree: int = 3,
        background: Sequence[float] = (0.0, 0.0, 0.0),
        near: float = 0.01,
    ) -> Prepared:
        """The part of `forward` before blending: project, sort by depth, list per tile."""
        planes, count = _checked_planes(planes, count)
        if not 0 <= sh_degree <= 3:
            raise ValueError(f"The degree of spherical harmonics is 0 to 3, not {sh_degree}.")
        if not near > 0:
            raise ValueError(f"near must be positive, not {near}.")
        if max(view.width, view.height) > TILE << RECT_BITS:
            raise ValueError(f"Pictures are at most {TILE << RECT_BITS} pixels on a side.")
        numba.set_num_threads(self.threads)
        self._last = None
        stride, padded = planes.shape[1], -(-count // 16) * 16
        flat, camera = planes.reshape(-1), camera_constants(view, near)
        records = self._floats("records", padded * RECORD)
        touched, keys, rect_x, rect_y = (self._ints(name, padded) for name in ("touched", "keys", "rect_x", "rect_y"))
        order, spare, spare_keys = (self._ints(name, padded) for name in ("order", "spare", "spare_keys"))
        project(
            flat, stride, count, camera, sh_degree, records, touched, keys, rect_x, rect_y, self._counter, self.threads
        )
        visible, pairs = sort_by_depth(count, touched, keys, records.view(np.int32), order, spare, spare_keys)
        if pairs > MOST_PAIRS:
            raise MemoryError(
                f"{visible} Gaussians touch {pairs} tiles between them, more than {MOST_PAIRS}: they are far too large."
            )
        tiles_x, tiles_y = -(-view.width // TILE), -(-view.height // TILE)
        tiles = tiles_x * tiles_y
        self._buffer("words", (pairs // GROUP + tiles + 1) * 16, np.uint32)
        starts, groups, _ = (self._ints(name, tiles + 1) for name in ("starts", "groups", "done"))
        cursors = self._ints("cursors", self.threads * tiles)[: self.threads * tiles].reshape(self.threads, tiles)
        ids = self._ints("ids", pairs)
        bin_into_tiles(visible, order, rect_x, rect_y, tiles_x, tiles, cursors, starts, groups, ids, self.threads)
        light = np.asarray(background, np.float32)
        return Prepared(count, stride, view, camera, light, sh_degree, pairs, flat, tiles_x, tiles_y)

    def backward(
        self,
        grad_image: Array,
        grads: Array,
        *,
        grad_expected_depth: Array | None = None,
        grad_alpha: Array | None = None,
    ) -> None:
        """Overwrite `grads` (59, capacity) with dL/dplanes of the last forward, whose planes must be unchanged.

        grad_image (H,W,3) is dL/dimage; grad_expected_depth and grad_alpha (H,W) add the other pictures' shares (the
        first needs a forward with depth=True).  Columns of Gaussians that were not seen become zero.
        """
        last = self._last
        if last is None:
            raise RuntimeError("backward needs a forward before it.")
        shape = (last.view.height, last.view.width)
        depth = grad_expected_depth is not None or grad_alpha is not None
        if grad_expected_depth is not None and not last.depth:
            raise ValueError("A gradient of the depth needs a forward with depth=True.")
        if grads.shape != (ROWS, last.stride) or grads.dtype != np.float32 or not grads.flags.c_contiguous:
            raise ValueError(f"grads must be C-contiguous float32 of shape {(ROWS, last.stride)}, not {grads.shape}.")
        numba.set_num_threads(self.threads)
        zero = np.zeros(shape[0] * shape[1] if depth else 1, np.float32)
        records, ints = self._buffers["records"], self._buffers["records"].view(np.int32)
        touched, rect_x, rect_y, starts = (self._buffers[name] for name in ("touched", "rect_x", "rect_y", "starts"))
        scratch = self._floats("scratch", self.threads * SCRATCH)[: self.threads * SCRATCH]
        gathered = self._floats("gathered", -(-last.count // 16) * 16 * SLOT_SIZE)
        parts = bands(starts, last.tiles_x, last.tiles_y, self.pairs_at_once)
        slots = self._floats("slots", max(pairs for _, _, pairs in parts) * SLOT_SIZE)
        pictures = (
            _picture(grad_image, (*shape, 3)),
            zero if grad_alpha is None else _picture(grad_alpha, shape),
            zero if grad_expected_depth is None else _picture(grad_expected_depth, shape),
        )
        if len(parts) > 1:
            gathered[:] = 0.0
        for top, end, _ in parts:
            if len(parts) > 1:
                assign_slots(last.count, touched, rect_x, rect_y, top, end, ints)
            rasterize_backward(
                shape[1], shape[0], last.tiles_x, top * last.tiles_x, end * last.tiles_x, last.background,
                starts, self._buffers["groups"], self._buffers["done"], self._buffers["ids"], records, ints,
                self._buffers["words"], self._buffers["frame"], *pictures, depth,
                scratch.reshape(self.threads, SCRATCH), slots, self._counter, self.threads,
            )  # fmt: skip
            if len(parts) > 1:
                add_slots(
                    last.count, touched, rect_x, rect_y, top, end, ints, slots, gathered, self._counter, self.threads
                )
        project_backward(
            last.planes, grads.reshape(-1), last.stride, last.count, last.camera, last.sh_degree,
            touched, records, ints, slots, len(parts) > 1, gathered, self._counter, self.threads,
        )  # fmt: skip

    @property
    def visible(self) -> NDArray[np.bool_]:
        """Which Gaussians of the last forward touched a tile, (count,)."""
        if self._last is None:
            raise RuntimeError("visible needs a forward before it.")
        return np.asarray(self._buffers["touched"][: self._last.count] > 0)

    def _floats(self, name: str, size: int) -> Array:
        return self._buffer(name, size, np.float32)

    def _ints(self, name: str, size: int) -> NDArray[np.int32]:
        return self._buffer(name, size, np.int32)

    def _buffer(self, name: str, size: int, dtype: type) -> Any:
        """A reusable flat array of at least `size` elements, a quarter larger than asked when it has to grow."""
        held = self._buffers.get(name)
        if held is None or len(held) < size:
            held = self._buffers[name] = aligned_zeros((size + size // 4 + 16,), dtype)
        return held


def _checked_planes(planes: Array, count: int) -> tuple[Array, int]:
    good = planes.ndim == 2 and planes.shape[0] == ROWS and planes.shape[1] % 16 == 0 and planes.dtype == np.float32
    if not good or not planes.flags.c_contiguous:
        raise ValueError(f"planes must be C-contiguous float32 of shape (59, multiple of 16), not {planes.shape}.")
    if not 0 <= count <= planes.shape[1]:
        raise ValueError(f"count is {count}, but the planes hold at most {planes.shape[1]} Gaussians.")
    # The kernels are compiled for writable arrays; a read-only one would make numba compile them again.
    return planes if planes.flags.writeable else planes.copy(), int(count)


def _picture(values: Array, shape: tuple[int, ...]) -> Array:
    if values.shape != shape:
        raise ValueError(f"The gradient has shape {values.shape}, but the picture {shape}.")
    return np.require(values, np.float32, ["C", "W"]).reshape(-1)
