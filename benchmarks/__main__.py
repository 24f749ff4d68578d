"""`python -m benchmarks [PART]`: Markdown on stdout, progress beside it.

Parts: kernels, training, poses, keyframes, geometry, initialisation, compression; all of them unless one is named.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

PARTS = ("kernels", "training", "poses", "keyframes", "geometry", "initialisation", "compression")


class _Tee:
    """Writes to the terminal and to a file at once."""

    def __init__(self, *streams: TextIO) -> None:
        self._streams = streams

    def write(self, text: str) -> int:
        for stream in self._streams:
            stream.write(text)
        return len(text)

    def flush(self) -> None:
        for stream in self._streams:
            stream.flush()


def _list_of(kind: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    return lambda text: tuple(kind(part) for part in text.split(","))


def main(arguments: list[str] | None = None) -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="?", choices=(*PARTS, "all"), default="all")
    parser.add_argument("--quick", action="store_true", help="a few minutes: one seed, the shortest budgets")
    parser.add_argument("--out", type=Path, help="write the tables to this file, too")
    training = parser.add_argument_group("training")
    training.add_argument(
        "--seconds", type=_list_of(float), help="budgets on the fox, e.g. 10,60,180; the budget of initialisation"
    )
    training.add_argument("--compared-seconds", type=float, help="budget of ours against the plain recipe")
    training.add_argument("--seeds", type=_list_of(int), help="e.g. 0,1,2")
    training.add_argument("--shares", type=_list_of(float), help="of initialisation: shares of the time, e.g. 0.5,0.7")
    training.add_argument(
        "--tables", type=_list_of(str), help="of training: fox,plain,resume; of keyframes: throughput,rate,nth"
    )
    training.add_argument("--virtual-clock", action="store_true", help="count budgets in CPU time / threads")
    parser.add_argument(
        "--scenes",
        type=_list_of(str),
        help="of initialisation: apple_handheld,desk_handheld,fox; of keyframes: see there",
    )
    parser.add_argument("--steps", type=int, help="of the trainings of the part keyframes")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(options.out.open("w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(_Tee(sys.stdout, file)))
        for part in PARTS if options.part == "all" else (options.part,):
            _measure(part, options)


def _measure(part: str, options: argparse.Namespace) -> None:
    if part == "kernels":
        from benchmarks import kernels

        kernels.main(options.quick)
    elif part == "poses":
        from benchmarks import poses

        poses.main(options.quick)
    elif part == "geometry":
        from benchmarks import geometry

        geometry.main(options.quick)
    elif part == "initialisation":
        from benchmarks import initialisation

        first = initialisation.QUICK if options.quick else initialisation.Options()
        given = {
            "seconds": options.seconds[0] if options.seconds else None,
            "seeds": options.seeds,
            "scenes": options.scenes,
            "shares": options.shares,
            "virtual": options.virtual_clock or None,
        }
        initialisation.main(replace(first, **{key: value for key, value in given.items() if value is not None}))
    elif part == "compression":
        from benchmarks import compression

        compression.main(compression.QUICK if options.quick else compression.Options())
    elif part == "keyframes":
        from benchmarks import keyframes

        asked = {key: getattr(options, key) for key in ("steps", "seeds", "tables", "scenes")}
        begun = keyframes.QUICK if options.quick else keyframes.Options()
        keyframes.main(replace(begun, **{key: value for key, value in asked.items() if value is not None}))
    else:
        from benchmarks import training

        chosen = {
            "seconds": options.seconds,
            "compared_seconds": options.compared_seconds,
            "seeds": options.seeds,
            "tables": options.tables,
            "virtual": options.virtual_clock or None,
        }
        base = training.QUICK if options.quick else training.Options()
        training.main(replace(base, **{key: value for key, value in chosen.items() if value is not None}))


if __name__ == "__main__":
    main()
