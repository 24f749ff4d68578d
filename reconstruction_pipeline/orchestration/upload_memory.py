"""What the upload sensor remembers from tick to tick: its cursor, as small JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from reconstruction_pipeline.orchestration.uploads import Upload

QUIET_SECONDS = 10.0


@dataclass
class Memory:
    """By file name: the fingerprint with the time it was first seen, the one last dealt with, and failed readings."""

    seen: dict[str, tuple[str, float]] = field(default_factory=dict)
    started: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, cursor: str | None, uploads: list[Upload], now: float) -> tuple[Memory, list[Upload]]:
        """The memory after looking at `uploads` (deleted files are forgotten), and those of them that are due.

        A file is due once it was the same for `QUIET_SECONDS` over two ticks, and was not dealt with as it is.
        """
        before = cls(**json.loads(cursor)) if cursor else cls()
        after, due = cls(), []
        for upload in uploads:
            fingerprint, since = before.seen.get(upload.name, ("", now))
            same = fingerprint == upload.fingerprint
            after.seen[upload.name] = (upload.fingerprint, since if same else now)
            if upload.name in before.started:
                after.started[upload.name] = before.started[upload.name]
            if same and upload.name in before.attempts:
                after.attempts[upload.name] = before.attempts[upload.name]
            if same and now - since >= QUIET_SECONDS and before.started.get(upload.name) != upload.fingerprint:
                due.append(upload)
        return after, due

    def dealt_with(self, upload: Upload) -> None:
        """The upload as it is needs no further look."""
        self.started[upload.name] = upload.fingerprint
        self.attempts.pop(upload.name, None)

    def failed_to_read(self, upload: Upload) -> int:
        """How often the upload as it is could not be read, this time included."""
        self.attempts[upload.name] = self.attempts.get(upload.name, 0) + 1
        return self.attempts[upload.name]

    def dumps(self) -> str:
        """As the sensor's cursor."""
        return json.dumps(asdict(self))
