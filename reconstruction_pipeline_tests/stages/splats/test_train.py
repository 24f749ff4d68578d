"""Training as a whole, on a scene of known Gaussians."""

from dataclasses import replace

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.errors import Cancelled, InvalidArtifact, MissingRequirement, StageFailed
from reconstruction_pipeline.artifacts.progress import NullProgress, RecordingProgress
from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.stages.splats import checkpoint
from reconstruction_pipeline.stages.splats.devices import choose
from reconstruction_pipeline.stages.splats.initialisation import Points
from reconstruction_pipeline.stages.splats.scene import train_scene
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline.stages.splats.train import train_splats

SHORT = TrainSettings(steps=60, seconds=None, max_splats=2000, holdout=6, seed=3, device="cpu", refine_every=10)


def same(a, b):
    fields = ("means", "log_scales", "quats", "opacity_logits", "sh")
    return all(np.array_equal(getattr(a, field), getattr(b, field)) for field in fields)


def test_a_tiny_scene_is_learned_to_over_thirty_decibels(tiny_scene):
    settings = replace(SHORT, steps=400)
    result = train_splats(tiny_scene.views, tiny_scene.points, settings, NullProgress())
    assert result.metrics["psnr_holdout_db"] > 30.0
    assert result.metrics["psnr_holdout_db"] > result.metrics["psnr_initial_db"] + 5.0
    assert [row.name for row in result.evaluation] == ["00.png", "06.png"]
    assert result.gaussians.count <= 2000 and all(gate.passed for gate in result.gates)
    # The scene comes back in the world frame of its cameras.
    center = np.median(result.gaussians.means, axis=0)
    np.testing.assert_allclose(center, np.median(tiny_scene.truth.means, axis=0), atol=0.6)
    assert {row.level for row in result.curve} == {0} and result.curve[-1].step == 400


def test_the_same_seed_gives_the_same_scene_and_another_does_not(tiny_scene):
    first, again = (train_splats(tiny_scene.views, tiny_scene.points, SHORT, NullProgress()) for _ in range(2))
    other = train_splats(tiny_scene.views, tiny_scene.points, replace(SHORT, seed=4), NullProgress())
    assert same(first.gaussians, again.gaussians)
    assert not same(first.gaussians, other.gaussians)


def test_interrupted_and_resumed_is_the_same_as_uninterrupted(tiny_scene, tmp_path):
    settings = replace(SHORT, exposure="on")
    whole = train_splats(tiny_scene.views, tiny_scene.points, settings, NullProgress())

    class StopInTheMiddle:
        def report(self, stage, done, total, note=""):
            if stage == "training" and done >= 0.5:
                raise Cancelled("stopped")

    with pytest.raises(Cancelled), pytest.MonkeyPatch.context() as patch:
        patch.setattr("reconstruction_pipeline.stages.splats.optimise.REPORT_SECONDS", 0.0)
        train_splats(tiny_scene.views, tiny_scene.points, settings, StopInTheMiddle(), checkpoint_folder=tmp_path)
    assert (tmp_path / checkpoint.NAME).is_file()
    resumed = train_splats(
        tiny_scene.views, tiny_scene.points, settings, NullProgress(), checkpoint_folder=tmp_path, resume=True
    )
    assert resumed.metrics["steps"] == 60
    assert same(whole.gaussians, resumed.gaussians)
    assert [row.step for row in whole.curve] == [row.step for row in resumed.curve]


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(tiny_scene, tmp_path):
    names = [view.name for view in tiny_scene.views]
    identity = checkpoint.fingerprint(SHORT, names, (80, 64))
    state = _state(tiny_scene)
    path = checkpoint.save(tmp_path, state, 2000, identity)
    assert [file.name for file in tmp_path.iterdir()] == [checkpoint.NAME]
    loaded, cap = checkpoint.load(tmp_path, identity)
    assert cap == 2000 and loaded.planes.shape == state.planes.shape
    np.testing.assert_array_equal(loaded.planes, state.planes)
    assert loaded.rng.random() == state.rng.random()
    with pytest.raises(InvalidArtifact, match="another run"):
        checkpoint.load(tmp_path, checkpoint.fingerprint(replace(SHORT, seed=9), names, (80, 64)))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InvalidArtifact, match="damaged"):
        checkpoint.load(tmp_path, identity)
    assert checkpoint.load(tmp_path / "nowhere", identity) is None


def _state(scene):
    from reconstruction_pipeline.stages.splats.initialisation import initial_gaussians
    from reconstruction_pipeline.stages.splats.state import new_state

    return new_state(initial_gaussians(scene.points, SHORT), 2000, 10, True, 0)


def test_cancelling_while_images_load_leaves_nothing(tiny_scene, tmp_path):
    with pytest.raises(Cancelled):
        train_splats(
            tiny_scene.views, tiny_scene.points, SHORT, RecordingProgress(cancel_after=3), checkpoint_folder=tmp_path
        )
    assert not list(tmp_path.iterdir())


def test_a_number_that_stops_being_one_stops_training(tiny_scene, monkeypatch):
    from reconstruction_pipeline.stages.splats import train

    original = train.new_state

    def poisoned(*args):
        state = original(*args)
        state.planes[layout.MEAN, 0] = np.nan
        return state

    monkeypatch.setattr(train, "new_state", poisoned)
    with pytest.raises(StageFailed, match="stopped being a number"):
        train_splats(tiny_scene.views, tiny_scene.points, SHORT, NullProgress())


def test_too_few_points_are_refused_before_training(tiny_scene):
    few = Points(tiny_scene.points.xyz[:999], tiny_scene.points.rgb[:999])
    with pytest.raises(StageFailed, match="Only 999 3D points"):
        train_splats(tiny_scene.views, few, SHORT, NullProgress())


def test_the_cap_holds_even_below_the_number_of_points(tiny_scene):
    result = train_splats(tiny_scene.views, tiny_scene.points, replace(SHORT, max_splats=1100), NullProgress())
    assert result.gaussians.count <= 1100
    assert max(row.count for row in result.curve) <= 1100


def test_a_budget_in_seconds_is_kept(tiny_scene):
    settings = replace(SHORT, steps=None, seconds=1.0)
    result = train_splats(tiny_scene.views, tiny_scene.points, settings, NullProgress())
    assert 0.9 < result.metrics["training_seconds"] < 1.5
    assert result.metrics["steps"] > 20


def test_cuda_is_one_sentence_where_there_is_none(tiny_scene, monkeypatch):
    monkeypatch.setattr(choose, "cuda_available", lambda: False)
    with pytest.raises(MissingRequirement, match="needs an NVIDIA GPU"):
        train_splats(tiny_scene.views, tiny_scene.points, replace(SHORT, device="cuda"), NullProgress())


def test_exposure_compensation_recovers_gains(tiny_scene):
    gains = np.linspace(0.8, 1.2, len(tiny_scene.views))
    dimmed = []
    for view, gain in zip(tiny_scene.views, gains, strict=True):
        picture = np.clip(view.load() * gain * 0.8, 0, 255).astype(np.uint8)
        dimmed.append(replace(view, load=lambda picture=picture: picture))
    settings = replace(SHORT, steps=300, holdout=0, exposure="on")
    result = train_splats(dimmed, tiny_scene.points, settings, NullProgress())
    expected = float(np.std(np.log(gains)))
    assert result.metrics["exposure_spread"] == pytest.approx(expected, rel=0.2)


def test_a_segment_and_a_final_scene_are_trainings_of_their_own(tiny_scene, tmp_path):
    settings = replace(SHORT, segment=True, final_on_all=True)
    progress = RecordingProgress()
    result = train_scene(tiny_scene.views, tiny_scene.points, settings, progress, checkpoint_folder=tmp_path)
    measured = train_splats(tiny_scene.views, tiny_scene.points, SHORT, NullProgress())
    everything = train_splats(tiny_scene.views, tiny_scene.points, replace(SHORT, holdout=0), NullProgress())
    assert same(result.gaussians, everything.gaussians) and not same(result.gaussians, measured.gaussians)
    assert result.metrics["psnr_holdout_db"] == measured.metrics["psnr_holdout_db"]
    assert same(result.measured, measured.gaussians) and measured.measured is None
    assert 10.0 < result.metrics["psnr_segment_db"] < 60.0
    assert {"training", "training (segment)", "training (final)"} <= {report[0] for report in progress.reports}
    # Every part left a checkpoint while it ran; what remains is that of the measured scene, for its owner to discard.
    assert [path.name for path in tmp_path.rglob("*")] == [checkpoint.NAME]
