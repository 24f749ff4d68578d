"""The monocular part of one run of the stage: its model or the reason for having none, its figures, its gate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconstruction_pipeline.artifacts.depth_maps import DepthMap
from reconstruction_pipeline.artifacts.errors import InvalidArtifact, MissingRequirement
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.depth.monocular.fill import View, fill_gaps, predict_maps
from reconstruction_pipeline.stages.depth.monocular.weights import COMMAND, find_model
from reconstruction_pipeline.stages.depth.settings import DepthSettings

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.depth.monocular.session import DepthModel

WITHOUT = "no model, multi-view depth alone"
USED_SHARE = 0.5
"""Gate: share of the images whose monocular map must fit their sparse points."""


@dataclass
class Monocular:
    """`model` is None where there is none or it cannot be used; `problem` says the latter in one sentence."""

    model: DepthModel | None = None
    problem: str = ""
    metrics: dict[str, Any] = field(default_factory=lambda: _none_used(WITHOUT))

    @classmethod
    def open(cls, weights_folder: Path | None, chosen: Path | None, settings: DepthSettings) -> Monocular:
        """Find, check and load the model; never downloads."""
        from reconstruction_pipeline.stages.depth.monocular.session import DepthModel

        result = cls()
        try:
            file = find_model(weights_folder, chosen)
            if file is None:
                return result
            result.model = DepthModel(file.path, settings.threads, settings.monocular_side)
        except (InvalidArtifact, MissingRequirement) as error:
            result._give_up(error)
            return result
        result.metrics = {
            **_none_used("used"),
            "monocular_model": file.path.name,
            "monocular_sha256": file.sha256,
            "monocular_provider": result.model.provider,
        }
        return result

    def fill(
        self, views: Mapping[str, View], settings: DepthSettings, done: Callable[[int, str], None]
    ) -> dict[str, DepthMap]:
        """The maps of the views with their gaps filled; as they were if the network fails. `done(count, name)`."""
        assert self.model is not None
        names = list(views)
        try:
            predicted = predict_maps(self.model, views, lambda name: done(names.index(name) + 1, name))
        except InvalidArtifact as error:
            self._give_up(error)
            return {name: view.measured for name, view in views.items()}
        filling = fill_gaps(views, predicted, settings)
        self.metrics |= filling.metrics
        return filling.maps

    def gates(self) -> list[Gate]:
        """A warning's worth, where there is a model; without one nothing is claimed."""
        if self.problem:
            advice = f"Depth is multi-view alone; mend the model ('{COMMAND}', or DEPTH_MODEL_PATH), or remove it."
            return [Gate("monocular_depth", False, "warn", self.problem, advice=advice)]
        if self.model is None:
            return []
        used, refused = self.metrics["monocular_images"], self.metrics["monocular_rejected"]
        share = used / max(used + refused, 1)
        message = f"The monocular map of {used} of {used + refused} images fits their sparse points"
        reason = self.metrics["monocular_first_refusal"]
        message += f"; the first that does not: {reason}." if reason else "."
        advice = "The rest is multi-view depth alone; try another model, or more texture for more sparse points."
        return [Gate("monocular_depth", share >= USED_SHARE, "warn", message, round(share, 4), USED_SHARE, advice)]

    def _give_up(self, error: Exception) -> None:
        self.model, self.problem = None, str(error)
        self.metrics = _none_used(f"not used, multi-view depth alone: {error}")
        logging.getLogger(__name__).warning("%s Depth is multi-view alone.", error)


def _none_used(state: str) -> dict[str, Any]:
    return {"monocular": state, "monocular_images": 0, "monocular_rejected": 0, "monocular_filled_share": 0.0}
