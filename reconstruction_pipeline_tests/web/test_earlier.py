"""Clients of two earlier shapes: from a file to a result, in their words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reconstruction_pipeline_tests.web.conftest import Served


def send(served: Served, path: str, field: str, video: Path, **fields: str) -> Any:
    with video.open("rb") as file:
        return served.client.post(path, files=[(field, (video.name, file))], data=fields)


def test_both_shapes_speak_of_waiting_and_failing_in_their_words(served: Served, video: Path) -> None:
    """What they say of a finished one is in `test_videos`, beside the run that finishes."""
    client = served.client
    served.launcher.hold = True
    answer = send(served, "/api/upload", "files", video, mode="fast")
    assert (answer.status_code, answer.json()) == (200, {"job_id": "garden-walk"})
    status = client.get("/api/status/garden-walk").json()
    assert (status["job_id"], status["status"], status["progress"]) == ("garden-walk", "queued", 0.0)
    assert client.get("/api/videos/garden-walk").json()["preset"] == "fastest"
    assert client.get("/api/jobs/garden-walk/status").json()["status"] == "pending"
    assert client.get("/api/result/garden-walk").status_code == 409
    client.post("/api/videos/garden-walk/cancel")
    assert client.get("/api/status/garden-walk").json()["status"] == "failed"
    failed = client.get("/api/jobs/garden-walk/status").json()
    assert failed["status"] == "failed" and failed["error_message"].startswith("Canceled")
    answer = send(served, "/api/jobs/upload", "file", video)
    assert (answer.status_code, answer.json()) == (200, {"job_id": "garden-walk", "status": "pending"})
    assert client.get("/api/videos/garden-walk").json()["preset"] == "balanced"
    for path in (
        "/api/status/x",
        "/api/result/x",
        "/outputs/x/scene.ply",
        "/api/jobs/x/status",
        "/static/models/x.ply",
    ):
        assert client.get(path).status_code == 404


def test_an_unknown_mode_and_a_bad_file_are_refused(served: Served, video: Path) -> None:
    answer = send(served, "/api/upload", "files", video, mode="luxury")
    assert answer.status_code == 422 and "luxury" in answer.json()["detail"]
    bad = served.client.post("/api/jobs/upload", files={"file": ("x.mp4", b"nonsense" * 50)})
    assert bad.status_code == 422 and bad.json()["detail"].startswith("x.mp4")
    assert served.kept() == []
