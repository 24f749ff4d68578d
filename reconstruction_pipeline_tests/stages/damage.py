"""Damaged copies of files, the same for the same seed: what cameras, disks and attackers do to them."""

from __future__ import annotations

import struct

import numpy as np

KINDS = ("bits", "bytes", "cut", "hole", "swap", "repeat", "length")


def damaged(data: bytes, seed: int) -> tuple[str, bytes]:
    """(kind of damage, the damaged copy)."""
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    out = bytearray(data)
    size = len(out)
    # Half of all damage goes where the headers are: at either end.
    edge = min(4096, size)
    at = int(rng.choice([rng.integers(edge), size - 1 - rng.integers(edge), rng.integers(size), rng.integers(size)]))
    if kind == "bits":
        for place in rng.integers(0, size, 1 + int(rng.integers(20))):
            out[int(place)] ^= 1 << int(rng.integers(8))
    elif kind == "bytes":
        count = int(rng.integers(1, 64))
        out[at : at + count] = rng.bytes(len(out[at : at + count]))
    elif kind == "cut":
        del out[int(rng.integers(1, size)) :]
    elif kind == "hole":
        del out[at : at + int(rng.integers(1, max(size // 4, 2)))]
    elif kind == "swap":
        _swap_boxes(out, rng)
    elif kind == "repeat":
        count = int(rng.integers(1, 2048))
        out[at:at] = out[at : at + count]
    else:
        # A length or a count that says something extreme.
        extreme = int(rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**16, 2**24]))
        struct.pack_into(">I", out, min(at, size - 4), extreme)
    return kind, bytes(out)


def _swap_boxes(out: bytearray, rng: np.random.Generator) -> None:
    """Exchange two places that look like the names of ISO boxes, or else two blocks of 16 bytes."""
    names = [i for i in range(4, len(out) - 4) if out[i : i + 4].isalpha() and out[i : i + 4].islower()]
    width = 4
    if len(names) < 2:
        names, width = list(range(0, len(out) - 16, 16)), 16
    if len(names) < 2:
        return
    first, second = sorted(int(i) for i in rng.choice(names, 2, replace=False))
    if second - first >= width:
        out[first : first + width], out[second : second + width] = (
            out[second : second + width],
            out[first : first + width],
        )
