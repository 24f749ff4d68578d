"""Training on a real capture, scored on views it has not seen."""

import pytest

from reconstruction_pipeline.artifacts.colmap import read_model
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.stages.splats.inputs import points_of, views_of
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline.stages.splats.train import train_splats
from reconstruction_pipeline_tests.stages.captures import real_capture


@pytest.mark.slow
def test_fox_in_a_few_seconds_of_two_cores():
    # Measured 28.2 dB.
    folder = real_capture("fox_480")
    model = read_model(folder / "sparse" / "0")
    views = views_of(model, lambda name: folder / "images" / name)
    settings = TrainSettings(steps=500, seconds=None, max_splats=15_000, holdout=8, device="cpu")
    result = train_splats(views, points_of(model), settings, NullProgress())
    assert len(result.evaluation) == 7 and result.metrics["training_views"] == 43
    assert result.metrics["psnr_holdout_db"] > 27.0
    assert all(gate.passed for gate in result.gates)
