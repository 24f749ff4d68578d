"""What the API answers with."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

STAGE_LABELS: Mapping[str, str] = {
    "": "",
    "source_video": "Reading the capture",
    "keyframes": "Choosing frames",
    "camera_poses": "Finding the cameras",
    "depth_maps": "Measuring depth",
    "gaussian_splats": "Training the splats",
    "mesh": "Making the mesh",
    "compressed_splats": "Making small files",
    "scene_report": "Writing the report",
}


class State(StrEnum):
    """What becomes of a video."""

    new = "new"
    queued = "queued"
    running = "running"
    canceling = "canceling"
    done = "done"
    failed = "failed"
    canceled = "canceled"
    deleting = "deleting"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class File(_Frozen):
    """A delivered file."""

    name: str = Field(examples=["scene.ply"])
    label: str = Field(description="What it is, for people.", examples=["Splats, PLY"])
    bytes: int | None = Field(default=None, description="Its size; null where it is not recorded.")
    url: str = Field(examples=["/api/videos/walk/files/scene.ply"])


class Video(_Frozen):
    """A video (or set of photos) and the scene that is made of it."""

    key: str = Field(description="Its name everywhere.", examples=["walk"])
    state: State
    stage: str = Field(default="", description="The stage at work, or the one that stopped; empty when there is none.")
    stage_label: str = Field(default="", description="The same for people.", examples=["Training the splats"])
    stage_progress: float = Field(default=0.0, ge=0, le=1, description="How much of the stage is done.")
    progress: float = Field(default=0.0, ge=0, le=1, description="How much of the run is done, by usual times.")
    detail: str = Field(default="", description="The stage's own words.")
    error: str | None = Field(default=None, description="Why there is no (new) scene, and what to do: one sentence.")
    preset: str | None = None
    grade: str | None = Field(default=None, description="A (excellent) to F (failed); null before there is a report.")
    facts: list[str] = Field(
        default=[], description="The scene in a few numbers.", examples=[["31.2 dB", "40,213 splats"]]
    )
    warnings: list[str] = Field(default=[], description="What to know before relying on the scene.")
    run_id: str = Field(default="", description="The last run, in Dagster.")
    run_url: str | None = Field(default=None, description="Its page in Dagster.")
    viewer: str | None = Field(default=None, description="Address of the page that shows the scene.")
    report: str | None = None
    thumbnail: str | None = None
    files: list[File] = []
    created_at: float | None = Field(default=None, description="When the run was asked for, seconds since 1970.")
    updated_at: float | None = Field(default=None, description="When the run last changed, seconds since 1970.")

    @property
    def is_active(self) -> bool:
        """Whether a run waits or works."""
        return self.state in (State.queued, State.running, State.canceling)

    @property
    def is_done(self) -> bool:
        """Whether the last run ended with a scene."""
        return self.state is State.done


class VideoWithMetrics(Video):
    """A video with the whole of its `metrics.json`."""

    metrics: dict[str, Any] | None = Field(
        default=None, description="Numbers of every stage and gate; null before a report."
    )


class Videos(_Frozen):
    """All of them, the newest run first."""

    videos: list[Video]


class Accepted(_Frozen):
    """A capture was accepted."""

    key: str = Field(examples=["walk"])
    url: str = Field(description="Where to ask for its state.", examples=["/api/videos/walk"])
    run_id: str
    begun: bool = Field(description="False where the same content was there already, and was not run again.")


class Key(_Frozen):
    """The video that a request was for."""

    key: str


class Health(_Frozen):
    """Whether everything works: this server, and Dagster behind it."""

    status: str = Field(examples=["healthy"])
