"""Typed storage for assets: what `artifacts.store` does, as a Dagster IO manager.

Dagster's own path-based manager writes in place, so a killed step leaves a truncated file that the next
step accepts; ours publishes whole versions.
"""

from __future__ import annotations

import dagster as dg

from reconstruction_pipeline import artifacts
from reconstruction_pipeline.artifacts import Artifact
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.orchestration.metadata import metadata_of
from reconstruction_pipeline.settings import load_settings

KINDS: dict[str, type[Artifact]] = {
    cls.KIND: cls
    for cls in (
        artifacts.SourceVideo,
        artifacts.Keyframes,
        artifacts.CameraPoses,
        artifacts.DepthMaps,
        artifacts.GaussianSplats,
        artifacts.Mesh,
        artifacts.CompressedSplats,
        artifacts.SceneReport,
    )
}


def open_store() -> ArtifactStore:
    """The store that the environment names."""
    settings = load_settings()
    return ArtifactStore(settings.storage, settings.scratch)


class ArtifactIOManager(dg.ConfigurableIOManager):
    """Stores an asset's artifact under its asset name and partition key; loads the current version."""

    def handle_output(self, context: dg.OutputContext, obj: Artifact) -> None:
        """Refuse a wrong type, publish, and attach numbers and previews to the materialization."""
        kind = context.asset_key.path[-1]
        if not isinstance(obj, KINDS[kind]):
            raise TypeError(f"asset {kind} must return {KINDS[kind].__name__}, not {type(obj).__name__}.")
        try:
            stored = open_store().publish(context.partition_key, obj)
        except InvalidArtifact as error:
            raise dg.Failure(f"not stored: {error}", allow_retries=False) from error
        context.add_output_metadata(metadata_of(stored))

    def load_input(self, context: dg.InputContext) -> Artifact:
        """The current version of the upstream asset for this partition, whole to the last byte."""
        try:
            return open_store().load(KINDS[context.asset_key.path[-1]], context.partition_key, thorough=True)
        except InvalidArtifact as error:
            raise dg.Failure(str(error), allow_retries=False) from error
