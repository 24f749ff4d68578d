from __future__ import annotations

import pytest

from reconstruction_pipeline_tests.analytic_scene import AnalyticScene, make_scene


@pytest.fixture(scope="session")
def scene() -> AnalyticScene:
    return make_scene()
