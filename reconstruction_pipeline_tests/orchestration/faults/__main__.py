"""Runs every fault, or those named, and writes the table to OUT.md: `python -m … [OUT.md] [NAME…]`.

What was not run is in the table as such, with the reason.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from _pytest.outcomes import Skipped

from reconstruction_pipeline_tests.orchestration.faults.suite import FAULTS, Places
from reconstruction_pipeline_tests.orchestration.faults.table import Row, markdown


def main(out: Path | None, only: list[str]) -> int:
    """Run the faults (all, or those named) and write the table to `out`; the number that did not end well."""
    rows, failed = [], 0
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, Places(Path(folder)) as places:
        for fault in FAULTS:
            if only and fault.name not in only:
                continue
            began = time.monotonic()
            try:
                row = fault.act(places.of(fault), 20261121)
            except Skipped as reason:
                row = Row(fault.name, 0, "", f"not run: {reason}")
            except Exception:
                traceback.print_exc()
                failed += 1
                row = Row(fault.name, 0, "", "**failed**")
            rows.append((row, time.monotonic() - began))
            print(markdown(rows[-1:]).splitlines()[-1], flush=True)
    if out:
        out.write_text(markdown(rows))
    return failed


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None, sys.argv[2:]))
