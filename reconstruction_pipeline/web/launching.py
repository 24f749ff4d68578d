"""Asking Dagster to run something: through its GraphQL API, as its own UI does, so that its queue and limits decide."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from reconstruction_pipeline.orchestration.names import JOB, RETIRE_JOB
from reconstruction_pipeline.orchestration.runs import PARTITION_TAG
from reconstruction_pipeline.web.errors import Refused

LOCATION = {"repositoryLocationName": "reconstruction_pipeline", "repositoryName": "__repository__"}
VIA_TAG = {"reconstruction/via": "web"}
# A run whose process or machine died is repeated from where it was; one that a stage or a gate stopped is not.
RETRY_TAGS = {"dagster/max_retries": "2", "dagster/retry_on_asset_or_op_failure": "false"}
SECONDS = 60.0
CANCEL_SECONDS = 30.0
LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }"""
TERMINATE = """mutation($id: String!) { terminateRun(runId: $id) {
  __typename ... on TerminateRunFailure { message } ... on Error { message } } }"""
LOADED = "query($at: RepositorySelector!) { repositoryOrError(repositorySelector: $at) { __typename } }"


class Launcher(Protocol):
    """What the web asks of Dagster; each raises `Refused` (503) when Dagster does not answer."""

    def is_ready(self) -> bool:
        """Whether Dagster answers and has loaded this project."""

    def reconstruct(self, key: str, preset: str) -> str:
        """Queue a run for a partition; its id."""

    def retire(self, key: str) -> str:
        """Queue the run that forgets a video; its id."""

    def cancel(self, run_id: str) -> None:
        """Ask a run to end."""


@dataclass(frozen=True)
class GraphQLLauncher:
    """The launcher for a Dagster webserver at `url`."""

    url: str

    def is_ready(self) -> bool:
        """Whether Dagster answers and has loaded this project."""
        try:
            return bool(self._ask(LOADED, at=LOCATION)["repositoryOrError"]["__typename"] == "Repository")
        except Refused:
            return False

    def reconstruct(self, key: str, preset: str) -> str:
        """Queue a run for a partition; its id."""
        config = {"resources": {"pipeline": {"config": {"preset": preset}}}}
        return self._launch(JOB, key, config, {**VIA_TAG, **RETRY_TAGS})

    def retire(self, key: str) -> str:
        """Queue the run that forgets a video; its id."""
        return self._launch(RETIRE_JOB, key, {}, VIA_TAG)

    def cancel(self, run_id: str) -> None:
        """Ask a run to end; raises `Refused` (409) with Dagster's sentence when it cannot.

        A run that is just being started cannot be ended yet, so that Dagster is asked for some seconds.
        """
        until = time.monotonic() + CANCEL_SECONDS
        while (answer := self._ask(TERMINATE, id=run_id)["terminateRun"])["__typename"] != "TerminateRunSuccess":
            if time.monotonic() > until:
                reason = answer.get("message", "no reason given")
                raise Refused(409, f"Dagster cannot cancel run {run_id[:8]} now: {reason} Try again in a minute.")
            time.sleep(2.0)

    def _launch(self, job: str, key: str, config: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        tags = {**tags, PARTITION_TAG: key}
        params = {
            "selector": {**LOCATION, "jobName": job},
            "runConfigData": config,
            "executionMetadata": {"tags": [{"key": name, "value": value} for name, value in tags.items()]},
        }
        answer = self._ask(LAUNCH, params=params)["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            reason = answer.get("message", answer["__typename"])
            raise Refused(503, f"Dagster did not take the run: {reason}; see its page.", Retry_After="10")
        return str(answer["run"]["runId"])

    def _ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                found = json.load(answer)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise Refused(503, "Dagster does not answer now; try again in a minute.", Retry_After="10") from error
        if found.get("errors"):
            raise Refused(503, f"Dagster refused the request: {found['errors'][0]['message'].splitlines()[0]}")
        return found["data"]
