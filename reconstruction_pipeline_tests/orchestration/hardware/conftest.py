from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconstruction_pipeline_tests.orchestration.hardware.engine import CannotStart, Engine, running_engine, why_not


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """A Docker engine of the module's own, with the image of this machine; skips where none can start."""
    if reason := why_not():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/tmp"))  # a socket's path must be short
    try:
        with running_engine(folder) as found:
            found.import_host_image()
            yield found
    except CannotStart as cannot:
        pytest.skip(str(cannot))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
