"""What a listener hears, and what a run's events say of its progress."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.orchestration import pipeline
from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline.orchestration.progress import LogProgress, logged
from reconstruction_pipeline.orchestration.stage_process import StageCall, StageOutcome
from reconstruction_pipeline_tests.orchestration.canned import CannedStages
from reconstruction_pipeline_tests.web.conftest import Served

# The test client would call itself "testserver" here.
HOST = {"Host": "127.0.0.1:8000"}


class Gate:
    """Lets the second stage begin, report its half, and end only when told to."""

    def __init__(self, stages: CannedStages) -> None:
        self.stages, self.reached, self.go = stages, threading.Event(), threading.Event()

    def __call__(self, call: StageCall, progress: Progress) -> StageOutcome:
        if call.entry.endswith(":select_keyframes"):
            progress.report("keyframes", 5, 10, "measuring frames")
            self.reached.set()
            assert self.go.wait(60)
        return self.stages(call, progress)


def hear(socket: Any) -> list[dict[str, Any]]:
    heard = []
    with pytest.raises(WebSocketDisconnect):
        while True:
            heard.append(socket.receive_json())
    return heard


def test_a_listener_hears_stages_progress_and_the_end(
    served: Served, stages: CannedStages, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(stages)
    monkeypatch.setattr(pipeline, "run_stage_process", gate)
    served.launcher.aside = True
    key = served.send(video).json()["key"]
    assert gate.reached.wait(60)
    with served.client.websocket_connect(f"/api/videos/{key}/events", headers=HOST) as first:
        init = first.receive_json()
        assert init["type"] == "init" and init["video"]["key"] == key
        while (message := first.receive_json())["stage"] != "keyframes" or message["stage_progress"] == 0:
            pass
        assert message["type"] == "progress" and message["stage_progress"] == 0.5
        assert message["detail"] == "measuring frames" and 0.3 < message["progress"] < 0.9
        with served.client.websocket_connect(f"/ws/{key}", headers=HOST) as second:
            gate.go.set()
            for socket in (first, second):
                heard = hear(socket)
                assert heard[-1]["type"] == "complete" and heard[-1]["video"]["state"] == "done"
                shares = [item["progress"] for item in heard if item["type"] == "progress"]
                assert shares == sorted(shares)
    with served.client.websocket_connect(f"/api/videos/{key}/events", headers=HOST) as late:
        assert [message["type"] for message in hear(late)] == ["init", "complete"]


def test_a_listener_hears_why_it_failed_and_of_nothing(served: Served, stages: CannedStages, video: Path) -> None:
    stages.errors["select_keyframes"] = [StageFailed("All frames are black; film in light.")]
    key = served.send(video).json()["key"]
    with served.client.websocket_connect(f"/api/videos/{key}/events", headers=HOST) as socket:
        assert hear(socket)[-1] == {
            "type": "error",
            "detail": "All frames are black; film in light.",
            "state": "failed",
            "stage": "keyframes",
        }
    with served.client.websocket_connect("/api/videos/nothing/events", headers=HOST) as socket:
        assert hear(socket) == [{"type": "error", "detail": "There is no such video."}]


def test_lines_of_progress_are_read_again_and_others_are_not() -> None:
    lines: list[str] = []
    now = [0.0]
    progress = LogProgress(lines.append, lambda: now[0])
    for second in range(300):
        now[0] = float(second)
        progress.report("training", second, 300, "loss: 0.1 · odd")
    progress.report("waiting", 0, 0, "for a place in pool 'gpu'")
    assert 15 < len(lines) < 45, lines
    found = [logged(line) for line in lines]
    assert found[0] and (found[0].part, found[0].share, found[0].note) == ("training", 0.0, "loss: 0.1 · odd")
    last = found[-1]
    assert last and (last.part, last.share) == ("waiting", None) and last.note.startswith("for a place")
    assert [one.share for one in found[:-1] if one] == sorted(one.share or 0 for one in found[:-1] if one)
    for other in ("", "Started process", "deleting x: y", "a: 12 %x", "Loading input: 5 things"):
        assert logged(other) is None, other


def test_two_trainings_are_two_halves_of_one_stage_and_nothing_goes_back() -> None:
    from reconstruction_pipeline.web.run_progress import RunProgress

    run, seen = RunProgress(trainings=2, at_work=["gaussian_splats"]), []
    run.done = set(STAGES[:4])
    for line in (
        "loading images: 100 %",
        "training: 0 %",
        "training: 100 %",
        "training (segment): 50 %",
        "training: 10 %",
    ):
        said = logged(line)
        assert said
        run._report("gaussian_splats", said)
        seen.append((run.stage_progress, run.progress))
    assert [share for share, _ in seen] == [0, 0, 0.5, 0.75, 0.75]
    assert seen == sorted(seen) and run.stage == "gaussian_splats"


def test_every_stage_has_a_weight_and_a_name() -> None:
    from reconstruction_pipeline.web.models import STAGE_LABELS
    from reconstruction_pipeline.web.run_progress import SECONDS

    assert set(SECONDS) == set(STAGES) == set(STAGE_LABELS) - {""}
