"""The plain recipe is one the trainer takes, scaled to the length of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.plain_recipe import camera_extent, plain_recipe
from reconstruction_pipeline.stages.splats import schedule
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline_tests.analytic_scene import make_scene, write_poses


def test_it_is_plain(tmp_path: Path) -> None:
    write_poses(tmp_path / "colmap", make_scene(count=5, width=96, height=72), points=800)
    settings = TrainSettings(seconds=10.0, **plain_recipe(tmp_path / "colmap", 3000))
    assert settings.refine_every == 10
    assert [level[0] for level in schedule.level_shapes(480, 270, settings)] == [1]
    rates = [schedule.learning_rates(x, settings, schedule.rate_scale(3000, settings)) for x in (0.0, 0.99)]
    assert rates[0][3:] == pytest.approx(rates[1][3:])  # only the means' falls
    assert rates[0][0] == pytest.approx(1.6e-4 * camera_extent(tmp_path / "colmap"))
    # Cameras go from -0.7 to 0.7, the median depth is between 2.5 and 4.
    assert 1.1 * 0.7 / 4 < camera_extent(tmp_path / "colmap") < 1.1 * 0.7 / 2.5
