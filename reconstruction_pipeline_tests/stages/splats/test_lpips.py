"""LPIPS on made weights, against plain numpy; what is absent, wrong or damaged."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.stages.splats import lpips
from reconstruction_pipeline.stages.splats.lpips import find_lpips, missing
from reconstruction_pipeline_tests.stages.splats.lpips_weights import accept, write_weights

STRIDES, PADDINGS = (4, 1, 1, 1, 1), (2, 2, 1, 1, 1)


def by_hand(pictures, weights):
    """LPIPS of two (H, W, 3) pictures in 0..1 as the paper has it, in double precision and one loop."""
    layers = []
    for picture in pictures:
        x = (2 * picture.astype(np.float64) - 1 - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]
        x, features = x.transpose(2, 0, 1), []
        for i, number in enumerate((0, 3, 6, 8, 10)):
            if i in (1, 2):
                x = sliding_window_view(x, (3, 3), (1, 2))[:, ::2, ::2].max((-1, -2))
            weight, bias = weights[f"features.{number}.weight"], weights[f"features.{number}.bias"]
            x = np.pad(x, ((0, 0), (PADDINGS[i],) * 2, (PADDINGS[i],) * 2))
            windows = sliding_window_view(x, weight.shape[2:], (1, 2))[:, :: STRIDES[i], :: STRIDES[i]]
            x = np.einsum("chwij,ocij->ohw", windows, weight, optimize=True) + bias[:, None, None]
            x = np.maximum(x, 0)
            features.append(x / np.maximum(np.sqrt((x**2).sum(0)), 1e-10))
        layers.append(features)
    heads = [weights[f"lin{i}.model.1.weight"].ravel() for i in range(5)]
    return sum((head @ ((a - b) ** 2).reshape(len(head), -1)).mean() for head, a, b in zip(heads, *layers, strict=True))


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """The folder of made weights that are taken for the right ones, and their tensors."""
    made = write_weights(tmp_path / "weights")
    accept(tmp_path / "weights", monkeypatch)
    return tmp_path / "weights", made


def picture(height=50, width=62, seed=0):
    noise = np.random.default_rng(seed).random((height, width, 3))
    return gaussian_filter(noise, (0.6, 0.6, 0)).astype(np.float32)


@pytest.mark.parametrize("size", [(50, 62), (31, 40)])
def test_it_is_what_the_paper_says(weights, size):
    folder, made = weights
    one, other = picture(*size), picture(*size, seed=1)
    measured = find_lpips(folder)
    assert measured(one, other) == pytest.approx(by_hand((one, other), made), rel=1e-4)
    assert measured(one, other) == pytest.approx(measured(other, one), rel=1e-5)
    assert measured(one, one) == 0.0


def test_bytes_and_floats_are_one_picture_and_floats_are_clamped(weights):
    measured = find_lpips(weights[0])
    eight_bit = np.round(picture() * 255).astype(np.uint8)
    assert measured(eight_bit, eight_bit / np.float32(255)) == pytest.approx(0.0, abs=1e-6)
    assert measured(np.full((40, 40, 3), 1.7, np.float32), np.full((40, 40, 3), 255, np.uint8)) == 0.0


def test_the_more_it_is_blurred_the_larger(weights):
    sharp, measured = picture(96, 96), find_lpips(weights[0])
    values = [measured(gaussian_filter(sharp, (sigma, sigma, 0)), sharp) for sigma in (0.3, 0.6, 1.2, 2.4)]
    assert values[0] > 0 and np.all(np.diff(values) > 0)


def test_what_is_not_kept_does_not_count(weights):
    measured, one, other = find_lpips(weights[0]), picture(), picture()
    other[:, 30:] = 0.0
    kept = np.zeros(one.shape[:2], bool)
    kept[:, :30] = True
    assert measured(one, other) > 0 and measured(one, other, kept) == 0.0


def test_a_picture_too_small_has_none(weights):
    assert find_lpips(weights[0])(picture(30, 62), picture(30, 62)) is None


def test_without_weights_there_is_none(tmp_path, caplog):
    assert find_lpips(None) is None and find_lpips(tmp_path) is None and not caplog.records
    assert missing(tmp_path) == [lpips.ALEXNET, lpips.HEADS]
    write_weights(tmp_path)
    (tmp_path / "lpips" / "alex.pth").unlink()
    assert find_lpips(tmp_path) is None and "alex.pth is missing" in caplog.text


def test_other_files_than_the_published_are_refused(tmp_path):
    write_weights(tmp_path)
    with pytest.raises(InvalidArtifact, match=r"alexnet-owt-7be5be79\.pth: its SHA-256 begins with .*, not 7be5be79;"):
        find_lpips(tmp_path)


@pytest.mark.parametrize("damage", ["shape", "name", "bytes", "code"])
def test_files_that_hold_something_else_are_refused(tmp_path, monkeypatch, damage):
    write_weights(tmp_path)
    path = tmp_path / "lpips" / "alex.pth"
    stored = torch.load(path, weights_only=True)
    if damage == "shape":
        stored["lin2.model.1.weight"] = torch.zeros(1, 385, 1, 1)
    elif damage == "name":
        stored["lin2.weight"] = stored.pop("lin2.model.1.weight")
    torch.save({"x": subprocess.run} if damage == "code" else stored, path)
    if damage == "bytes":
        path.write_bytes(path.read_bytes()[:900])
    accept(tmp_path, monkeypatch)
    wanted = r"lin2\.model\.1\.weight is missing or not of shape" if damage in ("shape", "name") else "cannot be read"
    with pytest.raises(InvalidArtifact, match=rf"alex\.pth: {wanted}"):
        find_lpips(tmp_path)(picture(), picture())


def test_the_name_of_a_published_file_is_the_start_of_its_checksum():
    assert lpips.ALEXNET.sha256.startswith("7be5be79") and "7be5be79" in lpips.ALEXNET.name
    assert all(len(file.sha256) == 64 and file.url.endswith(file.name) for file in (lpips.ALEXNET, lpips.HEADS))


def test_torch_is_not_imported_without_weights(tmp_path):
    code = (
        "import sys; from pathlib import Path; from reconstruction_pipeline.stages.splats.lpips import find_lpips; "
        f"assert find_lpips(Path({str(tmp_path)!r})) is None; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
