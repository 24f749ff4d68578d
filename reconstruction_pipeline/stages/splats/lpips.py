"""LPIPS: how different two pictures look to people (Zhang et al., CVPR 2018), AlexNet variant, version 0.1.

The features of AlexNet (Krizhevsky 2014, torchvision's checkpoint) after each of its five rectifiers are
scaled to unit length at every pixel; squared differences are weighed by one learned, non-negative weight
a channel, averaged over the picture and summed. 0 is equal; values are comparable with those of other
tools only if they use AlexNet too. The weights are never downloaded: someone who wants the number puts
both files into `<weights>/lpips/`.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.kernels.metrics import as_unit

if TYPE_CHECKING:
    import torch

SUBFOLDER = "lpips"
SMALLEST = 31
"""Pictures of a shorter side (px) have no pixel left after AlexNet's second pooling."""


class WeightFile(NamedTuple):
    """A published file of weights: `sha256` is of the whole file; `shapes` by the names of the tensors used."""

    name: str
    url: str
    licence: str
    sha256: str
    shapes: dict[str, tuple[int, ...]]


class Stage(NamedTuple):
    """A convolution of AlexNet, its `number` in `features`; max-pooling (3x3, stride 2) before it where `pooled`."""

    number: int
    channels: int
    inputs: int
    kernel: int
    stride: int
    padding: int
    pooled: bool


STAGES = (
    Stage(0, 64, 3, 11, 4, 2, False),
    Stage(3, 192, 64, 5, 1, 2, True),
    Stage(6, 384, 192, 3, 1, 1, True),
    Stage(8, 256, 384, 3, 1, 1, False),
    Stage(10, 256, 256, 3, 1, 1, False),
)

ALEXNET = WeightFile(
    # The name carries the first eight digits of the SHA-256, as torchvision's file names do.
    "alexnet-owt-7be5be79.pth",
    "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "BSD-3-Clause (torchvision)",
    "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    {f"features.{s.number}.weight": (s.channels, s.inputs, s.kernel, s.kernel) for s in STAGES}
    | {f"features.{s.number}.bias": (s.channels,) for s in STAGES},
)
HEADS = WeightFile(
    "alex.pth",
    "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/"
    "082bb24f84c091ea94de2867d34c4544f68e0963/lpips/weights/v0.1/alex.pth",
    "BSD-2-Clause (PerceptualSimilarity; also inside the lpips package 0.1.4)",
    "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    {f"lin{i}.model.1.weight": (1, s.channels, 1, 1) for i, s in enumerate(STAGES)},
)

# The mean and deviation of ImageNet's colours, for input in -1..1.
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


def missing(weights_folder: Path) -> list[WeightFile]:
    """The files that are not in `<weights_folder>/lpips/`."""
    return [file for file in (ALEXNET, HEADS) if not (weights_folder / SUBFOLDER / file.name).is_file()]


def find_lpips(weights_folder: Path | None) -> Lpips | None:
    """LPIPS with the weights of `<weights_folder>/lpips/`, or None where a file is absent.

    Compares checksums now and loads only when first used, so that a wrong file is said before a training
    and not after it. Raises InvalidArtifact.
    """
    if weights_folder is None:
        return None
    absent = missing(weights_folder)
    if absent:
        if len(absent) == 1:
            logging.getLogger(__name__).warning(
                "%s is missing, so there is no LPIPS.", weights_folder / SUBFOLDER / absent[0].name
            )
        return None
    for file in (ALEXNET, HEADS):
        path = weights_folder / SUBFOLDER / file.name
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != file.sha256:
            raise InvalidArtifact(
                f"{path}: its SHA-256 begins with {found[:8]}, not {file.sha256[:8]}; "
                f"get it again from {file.url}, or remove it to do without LPIPS."
            )
    return Lpips(weights_folder / SUBFOLDER)


class Lpips:
    """LPIPS with the weights of `folder`; loads them, and PyTorch, at the first call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(
        self, image: npt.NDArray[Any], target: npt.NDArray[Any], kept: npt.NDArray[np.bool_] | None = None
    ) -> float | None:
        """LPIPS of two (H, W, 3) RGB pictures (8-bit, or floats in 0..1); None if a side is under SMALLEST px.

        Pixels outside `kept` (H, W) are black in both, so that what is ignored differs nowhere.
        """
        import torch

        if min(image.shape[:2]) < SMALLEST:
            return None
        pictures = np.stack([as_unit(image), as_unit(target)]).astype(np.float32)
        if kept is not None:
            pictures *= kept[None, :, :, None]
        with torch.inference_mode():
            return float(self._distance(torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())))

    def _distance(self, pictures: torch.Tensor) -> torch.Tensor:
        """LPIPS of a pair (2, 3, H, W) in 0..1."""
        import torch
        from torch.nn import functional

        weights = self._tensors
        shift, scale = (torch.tensor(values).view(1, 3, 1, 1) for values in (SHIFT, SCALE))
        x = (2.0 * pictures - 1.0 - shift) / scale
        total = torch.zeros(())
        for i, stage in enumerate(STAGES):
            if stage.pooled:
                x = functional.max_pool2d(x, 3, 2)
            name = f"features.{stage.number}"
            x = functional.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stage.stride, stage.padding)
            x = functional.relu(x)
            unit = x / (x.norm(dim=1, keepdim=True) + 1e-10)
            difference = ((unit[0] - unit[1]) ** 2).mean(dim=(1, 2))
            total = total + difference @ weights[f"lin{i}.model.1.weight"].flatten()
        return total

    @cached_property
    def _tensors(self) -> dict[str, torch.Tensor]:
        return _load(self._folder / ALEXNET.name, ALEXNET) | _load(self._folder / HEADS.name, HEADS)


def _load(path: Path, file: WeightFile) -> dict[str, torch.Tensor]:
    """The tensors of a file that are used, as float32; nothing in the file is executed."""
    import torch

    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InvalidArtifact(f"{path}: cannot be read as weights; get it again from {file.url}.") from error
    found = stored if isinstance(stored, dict) else {}
    wrong = [name for name, shape in file.shapes.items() if tuple(getattr(found.get(name), "shape", ())) != shape]
    if wrong:
        raise InvalidArtifact(
            f"{path}: {wrong[0]} is missing or not of shape {file.shapes[wrong[0]]}; get it again from {file.url}."
        )
    return {name: found[name].float() for name in file.shapes}
