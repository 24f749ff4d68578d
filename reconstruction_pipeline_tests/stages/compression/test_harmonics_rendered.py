"""Turning a scene, judged by the renderer: from a camera turned with it, it looks the same."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.metrics import psnr
from reconstruction_pipeline.stages.compression.edits import euler, turn
from reconstruction_pipeline.stages.compression.fidelity import renderer
from reconstruction_pipeline_tests.stages.compression.scenes import random_scene


def test_turned_scene_looks_the_same_from_a_turned_camera() -> None:
    scene = random_scene(600)
    rotation = euler((20.0, -35.0, 110.0))
    view = PinholeView(np.eye(3), np.array([0.0, 0.0, 9.0]), 150.0, 150.0, 80.0, 60.0, 160, 120)
    turned_view = PinholeView(rotation.T, view.translation, 150.0, 150.0, 80.0, 60.0, 160, 120)
    before = renderer(scene, 0.1)(view)
    after = renderer(turn(scene, rotation), 0.1)(turned_view)
    assert before.std() > 0.1
    assert psnr(after, before) > 60
    # The colours do depend on the direction: without turning them it is another picture.
    turned = turn(scene, rotation)
    stale = Gaussians(turned.means, turned.log_scales, turned.quats, turned.opacity_logits, scene.sh)
    assert psnr(renderer(stale, 0.1)(turned_view), before) < 35
