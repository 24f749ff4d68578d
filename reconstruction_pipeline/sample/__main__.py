"""`python -m reconstruction_pipeline.sample --variant small --out DIR`: makes a sample and prints what it is."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import ReconstructionError
from reconstruction_pipeline.sample import VARIANTS, make_sample


class _Lines:
    """Progress as a line at every tenth."""

    def __init__(self) -> None:
        self._said = -1

    def report(self, stage: str, done: float, total: float, note: str = "") -> None:
        tenth = int(10 * done / total)
        if tenth > self._said:
            self._said = tenth
            print(f"{stage}: {10 * tenth:3d} % {note}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m reconstruction_pipeline.sample", description=__doc__)
    parser.add_argument("--variant", choices=sorted(VARIANTS), default="demo")
    parser.add_argument("--out", type=Path, required=True, help="folder for the sample; one made before is used again")
    options = parser.parse_args(arguments)
    try:
        capture = make_sample(options.out, options.variant, _Lines())
    except ReconstructionError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(capture.summary | {"folder": str(capture.folder), "video": str(capture.video)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
