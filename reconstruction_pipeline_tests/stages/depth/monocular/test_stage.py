"""The whole stage with networks that know the depth of a scene, part of which several views cannot see."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.artifacts import CameraPoses, DepthMap, DepthMaps
from reconstruction_pipeline.artifacts.progress import NullProgress, RecordingProgress
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.depth import DepthSettings, estimate_depth
from reconstruction_pipeline.stages.depth.monocular.fill import View
from reconstruction_pipeline.stages.depth.monocular.stage import Monocular
from reconstruction_pipeline_tests.analytic_scene import AnalyticScene, write_poses
from reconstruction_pipeline_tests.stages.depth.monocular.networks import write_network

SETTINGS = DepthSettings(longest_side=160, threads=2, monocular_side=112)
LOW, SPAN = 0.1, 0.6
"""Inverse depth 1/z = LOW + SPAN * blue, in the pictures of these tests."""


def blank(view: PinholeView, depth: np.ndarray) -> np.ndarray:
    """Where (H, W) the view sees the bare part of the scene: everything right of x = 0.35."""
    u, v = np.meshgrid(np.arange(view.width) + 0.5, np.arange(view.height) + 0.5)
    rays = np.stack([(u - view.cx) / view.fx, (v - view.cy) / view.fy, np.ones_like(u)], -1)
    return ((rays * depth[..., None]) @ view.rotation + view.center)[..., 0] > 0.35


@pytest.fixture(scope="module")
def poses(scene: AnalyticScene, tmp_path_factory: pytest.TempPathFactory) -> CameraPoses:
    """Blue holds the inverse depth; red and green make up the grey of the texture, or one plain grey."""
    folder = tmp_path_factory.mktemp("poses") / "project"
    poses = write_poses(folder, scene)
    for name, view, picture, depth in zip(scene.names, scene.views, scene.pictures, scene.depths, strict=True):
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(float)
        grey[blank(view, depth)] = 128
        blue = np.rint(255 * np.clip((1 / depth - LOW) / SPAN, 0, 1))
        rest = np.clip(np.rint((grey - 0.114 * blue) / 0.886), 0, 255)
        cv2.imwrite(str(folder / "images" / name), np.dstack([blue, rest, rest]).astype(np.uint8))
    return poses


@pytest.fixture(scope="module")
def alone(poses: CameraPoses, tmp_path_factory: pytest.TempPathFactory) -> DepthMaps:
    return estimate_depth(poses, SETTINGS, tmp_path_factory.mktemp("alone"), NullProgress())


class Recorded(NamedTuple):
    """What a run made, and `measured`: its multi-view maps as the monocular part got them, empty if it did nothing."""

    maps: DepthMaps
    measured: dict[str, DepthMap]
    progress: RecordingProgress


def run(poses: CameraPoses, folder: Path, model: Path) -> Recorded:
    """Multi-view depth is not the same to the last bit in every run, so that each is compared with its own."""
    measured: dict[str, DepthMap] = {}
    fill = Monocular.fill

    def recording(self: Monocular, views: Mapping[str, View], *rest: Any) -> dict[str, DepthMap]:
        measured.update({name: DepthMap(*(part.copy() for part in view.measured)) for name, view in views.items()})
        return fill(self, views, *rest)

    progress = RecordingProgress()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Monocular, "fill", recording)
        maps = estimate_depth(poses, SETTINGS, folder, progress, depth_model=model)
    return Recorded(maps, measured, progress)


@pytest.fixture(scope="module")
def filled(poses: CameraPoses, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("filled")
    return run(poses, folder, write_network(folder / "network.onnx"))


def is_multi_view(recorded: Recorded) -> bool:
    """Whether the maps are exactly what several views measured (confidence is stored in half precision)."""
    found = {name: recorded.maps.load(name) for name in recorded.maps.names()}
    return found.keys() == recorded.measured.keys() and all(
        np.array_equal(found[name].depth, depth)
        and np.array_equal(found[name].confidence, confidence.astype(np.float16).astype(np.float32))
        for name, (depth, confidence) in recorded.measured.items()
    )


def test_gaps_are_filled_in_the_scale_of_the_poses(scene: AnalyticScene, filled: Recorded) -> None:
    before, after, errors = [], [], []
    for name, view, truth in zip(scene.names, scene.views, scene.depths, strict=True):
        bare, measured, depth = blank(view, truth), filled.measured[name].depth, filled.maps.load(name).depth
        before.append((measured[bare] > 0).mean())
        after.append((depth[bare] > 0).mean())
        new = (measured == 0) & (depth > 0)
        errors.append(np.abs(depth[new] / truth[new] - 1))
    assert np.mean(before) < 0.5, "several views see little there"
    assert np.mean(after) > 0.85
    error = np.concatenate(errors)
    assert np.median(error) < 0.01 and np.percentile(error, 90) < 0.03
    assert filled.progress.reports[-1][1:3] == (21, 21), "two passes and the network's"


def test_what_several_views_measured_stays_and_counts_more(filled: Recorded) -> None:
    trust = []
    for name, measured in filled.measured.items():
        found = filled.maps.load(name)
        known = measured.depth > 0
        assert np.array_equal(measured.depth[known], found.depth[known])
        np.testing.assert_allclose(found.confidence[known], measured.confidence[known], rtol=1e-3)  # stored as float16
        new = (found.depth > 0) & ~known
        assert {round(float(value), 2) for value in np.unique(found.confidence[new])} <= {0.25, 0.55}
        assert not found.confidence[found.depth == 0].any()
        trust.append((np.median(measured.confidence[known]), np.mean(found.confidence[new] > 0.5)))
    assert all(of_measured > 0.6 and of_new > 0.5 for of_measured, of_new in trust)


def test_the_metrics_name_the_model_and_what_it_did(filled: Recorded) -> None:
    metrics = filled.maps.metrics
    assert metrics["monocular"] == "used" and metrics["monocular_model"] == "network.onnx"
    assert len(metrics["monocular_sha256"]) == 64 and metrics["monocular_provider"].endswith("ExecutionProvider")
    assert (metrics["monocular_images"], metrics["monocular_rejected"]) == (7, 0)
    assert metrics["monocular_filled_share"] > 0.1 and metrics["monocular_residual"] < 0.01
    measured = np.mean([np.mean(depth > 0) for depth, _ in filled.measured.values()])
    assert metrics["coverage"] == pytest.approx(measured, abs=1e-4), "gates judge what was measured"
    gate = next(gate for gate in filled.maps.verdict.gates if gate.name == "monocular_depth")
    assert gate.passed and "7 of 7 images" in gate.message


def test_without_a_model_the_metadata_says_so(alone: DepthMaps) -> None:
    assert alone.metrics["monocular"] == "no model, multi-view depth alone"
    assert alone.metrics["monocular_images"] == 0 and alone.metrics["monocular_filled_share"] == 0
    assert "monocular_depth" not in [gate.name for gate in alone.verdict.gates]


@pytest.mark.parametrize("case", ["corrupt", "wrong checksum", "missing", "fails", "no ONNX Runtime"])
def test_a_model_that_cannot_be_used_is_one_sentence_and_the_multi_view_path(
    case: str, poses: CameraPoses, alone: DepthMaps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "own.onnx"
    if case == "corrupt":
        model.write_bytes(b"\x08\x09broken" * 99)
    elif case == "wrong checksum":
        write_network(model).with_name("own.onnx.sha256").write_text(f"{'0' * 64}  own.onnx\n")
    elif case == "fails":
        write_network(model, fails=True)
    elif case == "no ONNX Runtime":
        write_network(model)
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    recorded = run(poses, tmp_path / "depth", model)
    maps = recorded.maps
    if case == "fails":
        assert is_multi_view(recorded)
    else:
        assert not recorded.measured, "nothing was filled"
    for name in alone.names():
        assert np.mean(np.isclose(maps.load(name).depth, alone.load(name).depth, rtol=1e-3)) > 0.99
    (warning,) = maps.verdict.warnings
    assert warning.name == "monocular_depth" and maps.verdict.ok
    assert "own.onnx: " in warning.message and "\n" not in warning.message and warning.message.endswith(".")
    assert maps.metrics["monocular"] == f"not used, multi-view depth alone: {warning.message}"
    assert maps.metrics["monocular_images"] == 0


def test_a_model_that_knows_nothing_is_rejected_image_by_image(poses: CameraPoses, tmp_path: Path) -> None:
    recorded = run(poses, tmp_path, write_network(tmp_path / "nonsense.onnx", nonsense=True))
    assert is_multi_view(recorded)
    metrics = recorded.maps.metrics
    assert (metrics["monocular_images"], metrics["monocular_rejected"]) == (0, 7)
    assert [gate.name for gate in recorded.maps.verdict.warnings] == ["monocular_depth"]


def test_a_metric_model_of_fixed_size_serves_too(scene: AnalyticScene, poses: CameraPoses, tmp_path: Path) -> None:
    network = write_network(tmp_path / "metric.onnx", distance_from=(LOW, SPAN), four_d=True, size=(112, 154))
    recorded = run(poses, tmp_path, network)
    metrics = recorded.maps.metrics
    assert metrics["monocular_predicts"] == "distance" and metrics["monocular_images"] == 7
    for name, truth in zip(scene.names, scene.depths, strict=True):
        depth = recorded.maps.load(name).depth
        new = (recorded.measured[name].depth == 0) & (depth > 0)
        assert np.median(np.abs(depth[new] / truth[new] - 1)) < 0.01
