"""What is worth telling a person who is not looking, and how it is sent. Knows no Dagster.

A post is one JSON object. Its `text` is what Slack, Mattermost and similar services show; the other fields are for
programs.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from reconstruction_pipeline.artifacts.errors import StageFailed

ATTEMPTS = 3
TIMEOUT_SECONDS = 10.0
MAX_SENTENCE = 600


@dataclass(frozen=True)
class FailedGate:
    """A quality gate that did not pass: "stage.gate", whether it stopped the line, and its sentence."""

    name: str
    blocks: bool
    sentence: str


@dataclass(frozen=True)
class Alert:
    """What happened to a video; `event` is "run_failed", "gates_failed" or "upload_refused"."""

    event: str
    video: str
    sentence: str
    run_id: str = ""
    job: str = ""
    url: str = ""
    gates: tuple[FailedGate, ...] = ()

    def body(self) -> bytes:
        """The JSON that is posted."""
        return json.dumps({"text": self.text(), **asdict(self)}, ensure_ascii=False).encode()

    def text(self) -> str:
        """For people: a headline, the gates, a link."""
        headline = {"run_failed": "run failed", "gates_failed": "done, with warnings", "upload_refused": "refused"}
        lines = [f"{self.video or self.job}: {headline[self.event]}. {self.sentence}".rstrip()]
        lines += [f"- {gate.name}{' (blocks)' if gate.blocks else ''}: {gate.sentence}" for gate in self.gates]
        return "\n".join([*lines, *([self.url] if self.url else [])])


def shortened(text: str) -> str:
    """The first lines of an error, at most `MAX_SENTENCE` characters."""
    return text if len(text) <= MAX_SENTENCE else text[: MAX_SENTENCE - 1] + "…"


def post(url: str, alerts: Sequence[Alert], wait: Callable[[float], None] = time.sleep) -> None:
    """Send alerts in order; raises `StageFailed` when one could not be delivered after `ATTEMPTS` tries.

    Answers other than 2xx count as failures. The URL is a secret on most services, so that errors do not name it.
    """
    if not url.startswith(("http://", "https://")):
        raise StageFailed("RECONSTRUCTION_WEBHOOK is no http or https URL; correct it.")
    for alert in alerts:
        _post_one(url, alert, wait)


def _post_one(url: str, alert: Alert, wait: Callable[[float], None]) -> None:
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            wait(2.0**attempt)
        request = urllib.request.Request(url, alert.body(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
                return
        except urllib.error.HTTPError as error:
            reason = f"it answers {error.code}"
        except OSError as error:
            reason = str(getattr(error, "reason", error))
    raise StageFailed(f"the alert webhook cannot be reached ({reason}); check RECONSTRUCTION_WEBHOOK.")
