"""A monocular depth network in ONNX Runtime: any export with one picture in and one map out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, MissingRequirement

Floats = npt.NDArray[np.float32]

PATCH_PX = 14
"""Sides of dynamic inputs are multiples of this: the patches of the vision transformers in use."""
PROVIDERS = ("CUDAExecutionProvider", "CoreMLExecutionProvider", "CPUExecutionProvider")
"""In order of preference; the first that the installed ONNX Runtime offers does the work, the CPU what it cannot."""
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class DepthModel:
    """The network of an ONNX file; names, shapes and number type are read from it.

    Raises MissingRequirement without ONNX Runtime, InvalidArtifact for a file that is no such network.
    """

    def __init__(self, path: Path, threads: int | None = None, side: int = 518) -> None:
        """`threads` of the CPU; `side`: shorter side (px) of the input where the export leaves the size open."""
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingRequirement(
                f"{path}: using it needs ONNX Runtime; run \"pip install 'reconstruction-pipeline[depth]'\"."
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or os.cpu_count() or 1
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 4  # its errors come as exceptions
        offered = onnxruntime.get_available_providers()
        providers = [name for name in PROVIDERS if name in offered]
        self._path, self._side = path, side
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # ONNX Runtime's own classes have no common base but this
            raise InvalidArtifact(f"{path}: is no usable ONNX model ({_first_line(error)}); get it again.") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _TYPES or not outputs:
            raise InvalidArtifact(
                f"{path}: wants something else than one picture (n, 3, height, width); use another export."
            )
        batch, channels, height, width = inputs[0].shape
        if (isinstance(channels, int) and channels != 3) or (isinstance(batch, int) and batch != 1):
            raise InvalidArtifact(
                f"{path}: its input is {inputs[0].shape}, not (1, 3, height, width); use another export."
            )
        self._input, self._output = inputs[0].name, outputs[0].name
        self._type = _TYPES[inputs[0].type]
        self._fixed = tuple(size if isinstance(size, int) and size > 0 else None for size in (width, height))
        self.provider = str(self._session.get_providers()[0])

    def input_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the picture that the network wants for one of this size.

        What the export fixes, else the same shape with the shorter side near `side`, in whole patches.
        """
        factor = self._side / min(width, height)
        free = [PATCH_PX * max(1, round(length * factor / PATCH_PX)) for length in (width, height)]
        return self._fixed[0] or free[0], self._fixed[1] or free[1]

    def predict(self, picture: npt.NDArray[np.uint8]) -> Floats:
        """The map (h, w) float32 of a picture (H, W, 3) RGB of the wanted size, in the network's own unit.

        Raises InvalidArtifact when the network fails or gives something else than one map.
        """
        values = ((picture.astype(np.float32) / 255 - MEAN) / DEVIATION).transpose(2, 0, 1)[None]
        try:
            (found,) = self._session.run([self._output], {self._input: np.ascontiguousarray(values, self._type)})
        except Exception as error:
            raise InvalidArtifact(
                f"{self._path}: the network failed ({_first_line(error)}); use another export."
            ) from error
        result = np.asarray(found, np.float32)
        if result.ndim == 4 and result.shape[1] == 1:
            result = result[:, 0]
        if result.ndim != 3 or result.shape[0] != 1 or min(result.shape) < 1:
            raise InvalidArtifact(f"{self._path}: gives {np.shape(found)}, not (1, height, width); use another export.")
        return np.asarray(result[0])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
