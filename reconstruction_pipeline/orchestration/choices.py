"""What a person may choose for a run, stage by stage, beside the preset. Empty fields keep the preset's value."""

from dataclasses import replace
from typing import Any, TypeVar

import dagster as dg
from pydantic import Field

from reconstruction_pipeline.presets import Preset

S = TypeVar("S")


class StageChoices(dg.Config):
    """Fields have the names of the stage's settings."""

    def applied(self, settings: S) -> S:
        """The settings with what was chosen."""
        return replace(settings, **self.chosen())  # type: ignore[type-var]

    def chosen(self) -> dict[str, Any]:
        """What was chosen, by the settings' names."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class KeyframeChoices(StageChoices):
    """Which frames are taken."""

    count: int | None = Field(default=None, ge=8, le=2000, description="Most keyframes, or photos of a set (8-2000).")
    max_size: int | None = Field(
        default=None, ge=160, le=8192, description="Longest side of the keyframes, px (160-8192)."
    )
    projection: str | None = Field(
        default=None,
        pattern="^(auto|equirectangular|flat)$",
        description="auto | equirectangular | flat: whether a video is 360°; auto believes its marks.",
    )


class MatchingChoices(StageChoices):
    """How the cameras are found."""

    features: int | None = Field(
        default=None, ge=500, le=20_000, description="SIFT features per frame of a video (500-20000)."
    )
    overlap: int | None = Field(
        default=None, ge=2, le=50, description="Following frames each frame is matched with (2-50)."
    )
    max_size: int | None = Field(
        default=None, ge=160, le=8192, description="Longest side of the undistorted images, px (160-8192)."
    )


class DepthChoices(StageChoices):
    """How dense and how careful depth is."""

    longest_side: int | None = Field(
        default=None, ge=64, le=2048, description="Longest side of the depth maps, px (64-2048)."
    )
    neighbours: int | None = Field(default=None, ge=2, le=16, description="Views each view is compared with (2-16).")


class TrainingChoices(StageChoices):
    """What training may spend. Give `seconds` or `steps`, not both."""

    seconds: float | None = Field(
        default=None, ge=5, le=36_000, description="Training time, s (5-36000); replaces steps."
    )
    steps: int | None = Field(
        default=None, ge=100, le=200_000, description="Training steps (100-200000); replaces seconds."
    )
    max_splats: int | None = Field(
        default=None, ge=1000, le=20_000_000, description="Most Gaussians (1000-20 million)."
    )
    max_size: int | None = Field(default=None, ge=100, le=8192, description="Longest side trained at, px (100-8192).")
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1, description="Of every random choice.")

    def chosen(self) -> dict[str, Any]:
        """What was chosen; one budget drives out the other, on CUDA too."""
        found = super().chosen()
        if self.seconds is not None and self.steps is None:
            found["steps"] = None
        if self.steps is not None and self.seconds is None:
            found["seconds"] = None
        return found


class MeshChoices(StageChoices):
    """How fine the surface is."""

    resolution: int | None = Field(default=None, ge=32, le=2048, description="Voxels along the longest side (32-2048).")
    max_faces: int | None = Field(
        default=None, ge=1000, le=20_000_000, description="Faces after decimation (1000-20 million)."
    )
    render_side: int | None = Field(
        default=None, ge=64, le=4096, description="Longest side of rendered depth, px (64-4096)."
    )
    crop: str | None = Field(
        default=None,
        description="'object': only what the cameras look at from around it; or a box x0,y0,z0,x1,y1,z1 in mesh.ply's "
        "world.",
    )
    without_table: bool | None = Field(
        default=None, description="Remove the level surface that carries the object, and everything below."
    )
    usdz: bool | None = Field(default=None, description="Write mesh.usdz, too (needs usd-core).")


class CompressionChoices(StageChoices):
    """How the small files are made."""

    palette: int | None = Field(default=None, ge=64, le=65_536, description="Entries of the colour palette (64-65536).")
    kmeans_iterations: int | None = Field(default=None, ge=1, le=100, description="Passes of its k-means (1-100).")


class Choices(dg.Config):
    """One object a stage; leave out what the preset decides."""

    keyframes: KeyframeChoices = KeyframeChoices()
    camera_poses: MatchingChoices = MatchingChoices()
    depth_maps: DepthChoices = DepthChoices()
    gaussian_splats: TrainingChoices = TrainingChoices()
    mesh: MeshChoices = MeshChoices()
    compressed_splats: CompressionChoices = CompressionChoices()

    def applied(self, row: Preset) -> Preset:
        """The preset's row with what was chosen for every stage."""
        training = self.gaussian_splats.chosen()
        # What the preset holds for CUDA would otherwise win over what a person has asked for.
        on_cuda = {name: value for name, value in row.gaussian_splats.on_cuda.items() if name not in training}
        return replace(
            row,
            keyframes=self.keyframes.applied(row.keyframes),
            camera_poses=self.camera_poses.applied(row.camera_poses),
            depth_maps=self.depth_maps.applied(row.depth_maps),
            gaussian_splats=replace(row.gaussian_splats, **training, on_cuda=on_cuda),
            mesh=self.mesh.applied(row.mesh),
            compressed_splats=self.compressed_splats.applied(row.compressed_splats),
        )
