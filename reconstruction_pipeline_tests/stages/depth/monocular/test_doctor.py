"""`doctor` says whether there is a depth model, and fetches it only when asked."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts.errors import MissingRequirement
from reconstruction_pipeline.cli.machine import Download, doctor
from reconstruction_pipeline.diagnosis import _depth_model
from reconstruction_pipeline.stages.depth.monocular import weights
from reconstruction_pipeline_tests.stages.depth.monocular.networks import write_network


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECONSTRUCTION_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("DEPTH_MODEL_PATH", raising=False)
    return tmp_path


def test_absent_it_costs_little_and_says_how_to_get_it(places: Path) -> None:
    finding = _depth_model()
    assert not finding.present and not finding.needed
    assert weights.COMMAND in finding.detail and "Apache-2.0" in finding.detail
    assert not (places / "weights").exists(), "looking fetches nothing"


def test_a_file_of_ones_own_is_shown_with_its_checksum(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = write_network(places / "own.onnx")
    monkeypatch.setenv("DEPTH_MODEL_PATH", str(network))
    finding = _depth_model()
    assert finding.present and hashlib.sha256(network.read_bytes()).hexdigest() in finding.detail
    network.write_bytes(b"broken")
    assert "is no usable ONNX model" in _depth_model().detail and not _depth_model().present


def test_asked_for_it_is_fetched_checked_and_shown(
    places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = write_network(places / "published.onnx")
    checksum = hashlib.sha256(network.read_bytes()).hexdigest()
    published = weights.DEPTH_ANYTHING._replace(url=network.as_uri(), sha256=checksum)
    monkeypatch.setattr(weights, "DEPTH_ANYTHING", published._replace(url="http://127.0.0.1:9/model"))
    with pytest.raises(MissingRequirement, match="cannot be fetched"):
        doctor(False, download=Download.depth_model)
    monkeypatch.setattr(weights, "DEPTH_ANYTHING", published)
    weights_file = weights.download_model(places / "weights", published)
    assert weights_file == (places / "weights" / "depth" / published.name, checksum)
