from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.sample import SampleCapture, make_sample


@pytest.fixture(scope="session")
def small_sample(tmp_path_factory: pytest.TempPathFactory) -> SampleCapture:
    """The small variant, made once for this session."""
    return make_sample(tmp_path_factory.mktemp("samples"), "small")


@pytest.fixture(scope="session")
def small_frames(small_sample: SampleCapture) -> list[np.ndarray]:
    """Its decoded frames."""
    return list(small_sample.images())


@pytest.fixture
def empty_cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"
