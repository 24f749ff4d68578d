"""Seeded damage to files: what disks, networks and attackers do to them."""

from __future__ import annotations

import random
import struct

EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 10**9, 1 << 24)
DIGITS = b"0123456789"


def damaged(data: bytes, rng: random.Random) -> bytes:
    """One of: cut short, bytes changed, an integer set to an extreme, a piece removed, doubled, zeroed or grown."""
    result = bytearray(data)
    kind = rng.randrange(7)
    # Half of the damage hits the beginning, where headers are.
    limit = len(data) if rng.random() < 0.5 else min(len(data), 256)
    at, length = rng.randrange(limit), rng.randint(1, 64)
    if kind == 0:
        del result[at:]
    elif kind == 1:
        for _ in range(rng.randint(1, 8)):
            result[rng.randrange(limit)] = rng.randrange(256)
    elif kind == 2:
        value = struct.pack("<I", rng.choice(EXTREMES))
        result[at : at + 4] = value
    elif kind == 3:
        del result[at : at + length]
    elif kind == 4:
        result[at:at] = result[at : at + length]
    elif kind == 5:
        result[at : at + length] = bytes(length)
    else:
        _grow_a_number(result, rng)
    return bytes(result)


def _grow_a_number(data: bytearray, rng: random.Random) -> None:
    """A decimal number of a text header becomes much larger (or changes, where there is none)."""
    places = [place for place in range(min(len(data), 4096)) if data[place] in DIGITS]
    place = rng.choice(places or [0])
    data[place:place] = bytes(rng.choice(DIGITS) for _ in range(rng.randint(1, 15)))
