from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.stages.depth.monocular.session import DepthModel
from reconstruction_pipeline_tests.stages.depth.monocular.networks import write_network


@pytest.mark.parametrize(
    "export",
    [
        {},
        {"names": ("image", "depth"), "size": (56, 70)},
        {"names": ("input", "output"), "four_d": True},
        {"half": True},
    ],
    ids=["dynamic", "fixed size", "four dimensions", "half precision"],
)
def test_names_shapes_and_type_are_read_from_the_file(export: dict, tmp_path: Path) -> None:
    model = DepthModel(write_network(tmp_path / "net.onnx", **export), threads=1, side=56)
    assert model.provider == "CPUExecutionProvider" or model.provider.startswith(("CUDA", "CoreML"))
    width, height = model.input_size(320, 240)
    assert (width, height) == (70, 56), "4:3 in patches of 14, or as fixed"
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    found = model.predict(picture)
    assert found.dtype == np.float32 and found.shape == (height, width)
    np.testing.assert_allclose(found, picture[:, :, 2] / 255, atol=2e-3 if export.get("half") else 1e-6)


def test_an_open_size_keeps_the_shape_in_whole_patches(tmp_path: Path) -> None:
    model = DepthModel(write_network(tmp_path / "net.onnx"), threads=1)
    assert model.input_size(1920, 1080) == (924, 518)
    assert model.input_size(1080, 1920) == (518, 924)


def test_what_is_no_network_is_said_in_one_sentence(tmp_path: Path) -> None:
    good = write_network(tmp_path / "good.onnx").read_bytes()
    for name, data in {"noise": b"not a model" * 50, "empty": b"", "cut": good[: len(good) // 2]}.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(data)
        with pytest.raises(InvalidArtifact, match=rf"{name}\.onnx: is no usable ONNX model") as caught:
            DepthModel(path, threads=1)
        assert "\n" not in str(caught.value)


def test_a_network_of_another_kind_is_refused(tmp_path: Path) -> None:
    def write(shape: list, kind: int = TensorProto.FLOAT) -> Path:
        one, two = (helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y"))
        graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "other", [one], [two])
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "n.onnx"
        )
        return tmp_path / "n.onnx"

    for shape, kind in (
        ([1, 10], TensorProto.FLOAT),
        ([1, 3, 8, 8], TensorProto.INT64),
        ([1, 1, 8, 8], TensorProto.FLOAT),
    ):
        with pytest.raises(InvalidArtifact, match="another export"):
            DepthModel(write(shape, kind), threads=1)
    with pytest.raises(InvalidArtifact, match="not \\(1, height, width\\)"):
        DepthModel(write([1, 3, 8, 8]), threads=1).predict(np.zeros((8, 8, 3), np.uint8))
