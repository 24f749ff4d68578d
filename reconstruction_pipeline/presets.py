"""The presets: one row of settings per stage, for what may be spent on a scene.

On a CPU the budget of training is time, so that a preset takes about as long on any machine; on a GPU it is
steps, as is the custom of the field.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.preset_names import PresetName
from reconstruction_pipeline.stages.compression.settings import CompressionSettings
from reconstruction_pipeline.stages.depth.settings import DepthSettings
from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings
from reconstruction_pipeline.stages.mesh.settings import MeshSettings
from reconstruction_pipeline.stages.poses.settings import PoseSettings
from reconstruction_pipeline.stages.splats.recipes import with_cuda
from reconstruction_pipeline.stages.splats.settings import TrainSettings


@dataclass(frozen=True)
class Preset:
    """Settings by asset; the fields have the assets' names."""

    keyframes: KeyframeSettings
    camera_poses: PoseSettings
    depth_maps: DepthSettings
    gaussian_splats: TrainSettings
    mesh: MeshSettings
    compressed_splats: CompressionSettings
    minutes: float
    """About how long a scene takes on two cores; measured for fastest and balanced, estimated for quality."""


HOLDOUT = 8

PRESETS: dict[str, Preset] = {
    PresetName.fastest: Preset(
        keyframes=KeyframeSettings(count=40, max_size=800),
        camera_poses=PoseSettings(),
        depth_maps=DepthSettings(longest_side=256, neighbours=3),
        gaussian_splats=TrainSettings(seconds=25, max_size=480, holdout=HOLDOUT),
        mesh=MeshSettings(render_side=480, resolution=192, max_faces=60_000),
        compressed_splats=CompressionSettings(holdout=HOLDOUT),
        minutes=1,
    ),
    PresetName.balanced: Preset(
        keyframes=KeyframeSettings(count=64, max_size=1024),
        camera_poses=PoseSettings(),
        depth_maps=DepthSettings(longest_side=320),
        gaussian_splats=TrainSettings(seconds=100, max_size=720, holdout=HOLDOUT),
        mesh=MeshSettings(),
        compressed_splats=CompressionSettings(holdout=HOLDOUT),
        minutes=3,
    ),
    PresetName.quality: Preset(
        keyframes=KeyframeSettings(count=120, max_size=1600),
        camera_poses=PoseSettings(),
        depth_maps=DepthSettings(longest_side=512),
        gaussian_splats=TrainSettings(seconds=900, max_size=1280, holdout=HOLDOUT, segment=True),
        mesh=MeshSettings(render_side=960, resolution=480, max_faces=500_000),
        compressed_splats=CompressionSettings(holdout=HOLDOUT),
        minutes=25,
    ),
}

CUDA_TRAINING: dict[str, dict[str, Any]] = {
    "fastest": {"steps": 7_000, "max_splats": 300_000, "max_size": 960},
    "balanced": {"steps": 30_000, "max_splats": 1_000_000, "max_size": 1600},
    "quality": {"steps": 30_000, "max_splats": 3_000_000, "max_size": 1600},
}
"""The budgets on CUDA, as is the custom of the field; the rest of its recipe is `recipes.CUDA_RECIPE`."""


def preset_named(name: str, device: str = "auto") -> Preset:
    """The row of that name for "auto", "cpu" or "cuda"; raises `UsageError` for any other.

    Its training settings carry what changes on CUDA with them (`TrainSettings.on_cuda`): which device "auto" is
    comes out where training runs, which may be another machine than this one.
    """
    if name not in PRESETS:
        raise UsageError(f"there is no preset '{name}'; choose {', '.join(PRESETS)}.")
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"there is no device '{device}'; choose auto, cpu or cuda.")
    row = PRESETS[name]
    training = replace(row.gaussian_splats, device=device)  # type: ignore[arg-type]
    return replace(row, gaussian_splats=with_cuda(training, **CUDA_TRAINING[name]))


@dataclass(frozen=True)
class PoseChoices:
    """What a person knows of how a capture was filmed, whatever the preset; the fields are those of `PoseSettings`.

    `known_distance`: (place, place, metres as text), or empty.
    """

    camera_height_m: float | None = None
    known_distance: tuple[str, ...] = ()
    path_length_m: float | None = None
    given_poses: str = "use"
    use_gps: bool = True
    turntable: bool = False

    def settings(self, row: PoseSettings) -> PoseSettings:
        """The preset's `row` with these; raises `UsageError` for a value that cannot be meant."""
        from reconstruction_pipeline.stages.poses.known_length import check_known_length

        if self.given_poses not in ("use", "ignore"):
            raise UsageError(f"given_poses is '{self.given_poses}'; choose use or ignore.")
        chosen = replace(
            row,
            camera_height_m=self.camera_height_m,
            known_distance=_distance(self.known_distance),
            path_length_m=self.path_length_m,
            given_poses=cast(Literal["use", "ignore"], self.given_poses),
            use_gps=self.use_gps,
            turntable=self.turntable,
        )
        check_known_length(chosen)
        return chosen


def _distance(parts: tuple[str, ...]) -> tuple[str, str, float] | None:
    if not parts:
        return None
    try:
        first, second, metres = parts
        return first, second, float(metres)
    except ValueError as error:
        raise UsageError(
            f"known_distance is '{' '.join(parts)}'; give two places and the metres between them, such as"
            " 0s 12.5s 3.2 or a.jpg b.jpg 3.2."
        ) from error
