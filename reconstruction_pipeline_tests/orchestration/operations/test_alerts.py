"""Alerts, against a web server of this test's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest

from reconstruction_pipeline.artifacts import Gate, Verdict
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.orchestration.operations import alerts as alerts_module
from reconstruction_pipeline.orchestration.operations.alert_sensor import alerts
from reconstruction_pipeline.orchestration.operations.alerts import Alert, post
from reconstruction_pipeline_tests.orchestration.canned import Line

BLURRED = Verdict.of([Gate("sharp", False, "warn", "The frames are soft.", 0.8, 0.6, "Film slower.")])
FEW = Verdict.of([Gate("points", False, "block", "30 points were found.", 30, 1000, "Film textured things.")])


@dataclass
class Receiver:
    """What arrived; `answers` are the status codes of the next answers, 200 afterwards."""

    url: str = ""
    posts: list[dict[str, object]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = found.answers.pop(0) if found.answers else 200
            if status == 200:
                found.posts.append(body)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("RECONSTRUCTION_WEBHOOK", found.url)
    monkeypatch.setenv("RECONSTRUCTION_UI_URL", "https://dagster.example/")
    monkeypatch.setattr(alerts_module.time, "sleep", lambda _: None)
    yield found
    server.shutdown()
    server.server_close()


@dataclass
class Ticker:
    """Runs the sensor as the daemon does: its cursor is kept only when a tick succeeds."""

    instance: dg.DagsterInstance
    cursor: str | None = None

    def tick(self) -> None:
        with dg.build_sensor_context(self.instance, self.cursor) as context:
            alerts(context)
            self.cursor = context.cursor


def test_a_stopped_line_is_told_with_its_gates_and_a_link(line: Line, receiver: Receiver) -> None:
    ticker = Ticker(line.instance)
    ticker.tick()
    line.stages.verdicts["select_keyframes"] = BLURRED
    line.stages.verdicts["estimate_poses"] = FEW
    result = line.run()
    ticker.tick()
    (told,) = receiver.posts
    assert (told["event"], told["video"], told["job"]) == ("run_failed", "walk", "reconstruct_video")
    assert told["url"] == f"https://dagster.example/runs/{result.run_id}"
    gates = {gate["name"]: gate["blocks"] for gate in told["gates"]}  # type: ignore[attr-defined]
    assert gates == {"keyframes.sharp": False, "camera_poses.points": True}
    assert "30 points were found. Film textured things." in str(told["text"])
    ticker.tick()
    assert len(receiver.posts) == 1


def test_a_refusal_is_told_in_its_own_words(line: Line, receiver: Receiver) -> None:
    ticker = Ticker(line.instance)
    ticker.tick()
    line.stages.errors["estimate_poses"] = [StageFailed("walk: no two frames match; move, do not only turn.")]
    line.run()
    ticker.tick()
    assert receiver.posts[0]["sentence"] == "camera_poses: walk: no two frames match; move, do not only turn."


def test_warnings_of_a_finished_line_are_told_and_a_clean_one_is_not(line: Line, receiver: Receiver) -> None:
    ticker = Ticker(line.instance)
    ticker.tick()
    line.run("source_video", "keyframes")
    line.stages.verdicts["select_keyframes"] = BLURRED
    line.run("keyframes")
    ticker.tick()
    assert [told["event"] for told in receiver.posts] == ["gates_failed"]
    assert receiver.posts[0]["text"].startswith("walk: done, with warnings.")  # type: ignore[attr-defined]


def test_a_lost_alert_is_posted_at_the_next_tick(line: Line, receiver: Receiver) -> None:
    ticker = Ticker(line.instance)
    ticker.tick()
    line.stages.verdicts["select_keyframes"] = FEW_FRAMES
    line.run("source_video", "keyframes")
    receiver.answers[:] = [503] * alerts_module.ATTEMPTS
    with pytest.raises(StageFailed, match="it answers 503"):
        ticker.tick()
    assert receiver.posts == []
    ticker.tick()
    assert len(receiver.posts) == 1


FEW_FRAMES = Verdict.of([Gate("usable_frames", False, "block", "3 usable frames.", 3, 8, "Film for longer.")])


def test_a_short_outage_is_ridden_out(receiver: Receiver) -> None:
    receiver.answers[:] = [500, 429]
    waits: list[float] = []
    post(receiver.url, [Alert("upload_refused", "", "bad.mp4: empty.")], waits.append)
    assert len(receiver.posts) == 1 and waits == [2.0, 4.0]


def test_what_happened_before_somebody_listened_is_not_told(
    line: Line, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticker = Ticker(line.instance)
    monkeypatch.setenv("RECONSTRUCTION_WEBHOOK", "")
    ticker.tick()
    line.stages.verdicts["select_keyframes"] = FEW_FRAMES
    old = line.run("source_video", "keyframes")
    ticker.tick()
    monkeypatch.setenv("RECONSTRUCTION_WEBHOOK", receiver.url)
    line.instance.add_run_tags(old.run_id, {"looked": "at"})
    ticker.tick()
    assert receiver.posts == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "hooks.example/x"])
def test_only_web_addresses_are_posted_to(url: str) -> None:
    with pytest.raises(StageFailed, match="RECONSTRUCTION_WEBHOOK"):
        post(url, [Alert("run_failed", "walk", "")])


def test_errors_do_not_name_the_secret_url() -> None:
    with pytest.raises(StageFailed) as error:
        post("http://127.0.0.1:9/secret", [Alert("run_failed", "walk", "")], lambda _: None)
    assert "secret" not in str(error.value)
