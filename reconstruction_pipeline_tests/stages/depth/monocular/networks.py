"""Small ONNX networks whose answer is known: what the blue channel of the picture says, and no weights at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from reconstruction_pipeline.stages.depth.monocular.session import DEVIATION, MEAN

BLUE = 2


def write_network(
    path: Path,
    channel: int = BLUE,
    size: tuple[int | str, int | str] = ("height", "width"),
    names: tuple[str, str] = ("pixel_values", "predicted_depth"),
    four_d: bool = False,
    distance_from: tuple[float, float] | None = None,
    half: bool = False,
    nonsense: bool = False,
    fails: bool = False,
) -> Path:
    """A network that gives `channel` of the picture in 0..1.

    `size`: (height, width), numbers where fixed; `four_d`: output (n, 1, h, w) instead of (n, h, w);
    `distance_from` (low, span): gives 1 / (low + span * channel), a distance;
    `nonsense`: gives the sine of many times the channel; `fails`: when it runs, not when it is loaded.
    """
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    number = np.float16 if half else np.float32
    constants = {"index": np.array([channel] if four_d else channel, np.int64)}
    scale, offset = float(DEVIATION[channel]), float(MEAN[channel])
    if distance_from is not None:
        scale, offset = distance_from[1] * scale, distance_from[0] + distance_from[1] * offset
    if nonsense:
        scale, offset = 900.0, 0.0
    constants |= {"scale": np.array(scale, number), "offset": np.array(offset, number)}
    nodes = [
        helper.make_node("Gather", [names[0], "index"], ["channel"], axis=1),
        helper.make_node("Mul", ["channel", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["affine"]),
        helper.make_node("Reciprocal" if distance_from else "Sin" if nonsense else "Identity", ["affine"], ["result"]),
        helper.make_node("Reshape" if fails else "Identity", ["result", "shape"] if fails else ["result"], [names[1]]),
    ]
    if fails:
        constants["shape"] = np.array([1, 3, 5], np.int64)
    graph = helper.make_graph(
        nodes,
        "stub",
        [helper.make_tensor_value_info(names[0], kind, ["batch", 3, *size])],
        [helper.make_tensor_value_info(names[1], kind, ["batch", *([1] if four_d else []), *size])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
