"""From a path to a `SourceVideo`: is it worth any work, and exactly what is it."""

from reconstruction_pipeline.stages.ingest.identity import content_sha256
from reconstruction_pipeline.stages.ingest.ingest import ingest
from reconstruction_pipeline.stages.ingest.limits import IngestLimits
from reconstruction_pipeline.stages.ingest.probe import Probe, probe

__all__ = ["IngestLimits", "Probe", "content_sha256", "ingest", "probe"]
