"""How a child process speaks to its parent."""

from __future__ import annotations

import json
import os
from typing import Any, TextIO


class Channel:
    """Sends messages to the parent: JSON lines on the original standard output.

    Whatever else is printed there from then on goes to standard error, the log.
    """

    def __init__(self) -> None:
        self._file: TextIO = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def send(self, event: str, **values: Any) -> None:
        """One JSON line."""
        self._file.write(json.dumps({"event": event, **values}) + "\n")
        self._file.flush()
