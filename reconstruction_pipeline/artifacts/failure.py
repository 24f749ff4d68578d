"""A stage that ended without an artifact."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class StageFailure:
    """Why `stage` made nothing: one sentence for people, the exit code, and the log's end for experts."""

    stage: str
    sentence: str
    exit_code: int = 3
    advice: str = ""
    log_tail: str = ""
    run_id: str = ""
    at: str = ""

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return asdict(self)
