"""The child process of `probe`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.guarded import Replies, serve
from reconstruction_pipeline.stages.ingest.limits import IngestLimits
from reconstruction_pipeline.stages.ingest.probe import probe_here


def work(request: dict[str, Any], replies: Replies) -> None:
    """`request`: `path` and `limits`; replies with `found` or with the sentence of `rejected`."""
    try:
        found = probe_here(Path(request["path"]), IngestLimits(**request["limits"]), replies.alive)
    except InputRejected as error:
        replies.send({"rejected": str(error)})
    else:
        replies.send({"found": found.to_json()})


if __name__ == "__main__":
    serve(work)
