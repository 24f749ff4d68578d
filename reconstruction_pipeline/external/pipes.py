"""Dagster Pipes for programs that speak it: two files, and two variables that say where they are.

The protocol is plain JSON (`dagster_pipes` documents it), so that this side needs no Dagster: the context holds the
placeholders as `extras`; of the messages, logs go to the program's log, metadata of materializations become figures,
and a custom message `{"progress": 0.4}` is progress.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

from reconstruction_pipeline.external.filling import Values
from reconstruction_pipeline.external.output import KeptLog, Watcher

CHUNK = 1 << 20


class PipesChannel:
    """Context and messages of one command, in `folder`, which the program can see."""

    def __init__(self, folder: Path, asset: str, values: Values) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._context, self._messages = folder / "context.json", folder / "messages.jsonl"
        self._read, self._rest = 0, b""
        context: dict[str, Any] = dict.fromkeys(
            ("code_version_by_asset_key", "provenance_by_asset_key", "partition_key", "partition_key_range")
        )
        context |= {"partition_time_window": None, "asset_keys": [asset], "run_id": "external", "job_name": None}
        self._context.write_text(json.dumps({**context, "retry_number": 0, "extras": dict(values)}))
        self._messages.write_bytes(b"")

    def environment(self) -> dict[str, str]:
        """The two variables."""
        return {
            "DAGSTER_PIPES_CONTEXT": _encoded({"path": str(self._context)}),
            "DAGSTER_PIPES_MESSAGES": _encoded({"path": str(self._messages)}),
        }

    def poll(self, log: KeptLog, watcher: Watcher) -> None:
        """Take the messages that have come since."""
        with self._messages.open("rb") as file:
            file.seek(self._read)
            chunk = file.read(CHUNK)
        self._read += len(chunk)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
                self._take(message["method"], message.get("params") or {}, log, watcher)
            except (ValueError, KeyError, TypeError, AttributeError):
                log.write(b"[pipes] " + line[:1000] + b"\n")  # not of the protocol: kept, and not believed

    def _take(self, method: str, params: dict[str, Any], log: KeptLog, watcher: Watcher) -> None:
        if method == "log":
            log.write(f"[{params['level']}] {params['message']}\n".encode())
            watcher.line = str(params["message"])[:200]
        elif method == "report_asset_materialization":
            for name, value in (params.get("metadata") or {}).items():
                raw = value.get("raw_value") if isinstance(value, dict) else value
                if isinstance(raw, bool | int | float | str):
                    watcher.metrics[str(name)] = raw
        elif method == "report_custom_message":
            payload = params["payload"]
            if isinstance(payload, dict) and "progress" in payload:
                watcher.share = min(max(float(payload["progress"]), 0.0), 1.0)


def _encoded(value: dict[str, str]) -> str:
    return base64.b64encode(zlib.compress(json.dumps(value).encode())).decode()
