"""Clients of two earlier shapes: from a file to a result, in their words."""

from __future__ import annotations

from pathlib import Path

from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline_tests.orchestration.canned import CannedStages
from reconstruction_pipeline_tests.web.conftest import Served


def test_upload_status_result_and_outputs(served: Served, video: Path) -> None:
    client = served.client
    served.launcher.hold = True
    with video.open("rb") as file:
        answer = client.post("/api/upload", files=[("files", (video.name, file))], data={"mode": "fast"})
    job = answer.json()["job_id"]
    assert answer.status_code == 200 and list(answer.json()) == ["job_id"]
    status = client.get(f"/api/status/{job}").json()
    assert (status["job_id"], status["status"], status["progress"]) == (job, "queued", 0.0)
    assert client.get(f"/api/result/{job}").status_code == 409
    client.post(f"/api/videos/{job}/cancel")
    assert client.get(f"/api/status/{job}").json()["status"] == "failed"
    served.launcher.hold, served.launcher.assets = False, STAGES
    with video.open("rb") as file:
        client.post("/api/upload", files=[("files", (video.name, file))], data={"mode": "fast"})
    assert client.get(f"/api/status/{job}").json()["status"] == "completed"
    result = client.get(f"/api/result/{job}").json()
    assert result["metrics"]["preset"] == "fastest"
    assert client.get(result["outputs"]["scene.ply"]).content.startswith(b"ply")
    model_url = client.get(f"/api/jobs/{job}/status").json()["model_url"]
    model = client.get(model_url)
    assert model_url == f"/static/models/{job}.ply" and model.content.startswith(b"ply")
    assert f'filename="{job}.ply"' in model.headers["content-disposition"]
    for path in (
        "/api/status/x",
        "/api/result/x",
        "/outputs/x/scene.ply",
        "/api/jobs/x/status",
        "/static/models/x.ply",
    ):
        assert client.get(path).status_code == 404


def test_jobs_and_models(served: Served, stages: CannedStages, video: Path) -> None:
    client = served.client
    with video.open("rb") as file:
        answer = client.post("/api/jobs/upload", files={"file": (video.name, file)})
    assert answer.status_code == 200 and answer.json() == {"job_id": "garden-walk", "status": "pending"}
    status = client.get("/api/jobs/garden-walk/status").json()
    assert (status["status"], status["progress"], status["error_message"]) == ("completed", 1.0, None)
    client.delete("/api/videos/garden-walk")
    stages.errors["select_keyframes"] = [StageFailed("All frames are black; film in light.")]
    with video.open("rb") as file:
        client.post("/api/jobs/upload", files={"file": (video.name, file)})
    failed = client.get("/api/jobs/garden-walk/status").json()
    assert (failed["status"], failed["error_message"]) == ("failed", "All frames are black; film in light.")


def test_an_unknown_mode_and_a_bad_file_are_refused(served: Served, video: Path) -> None:
    with video.open("rb") as file:
        answer = served.client.post("/api/upload", files=[("files", (video.name, file))], data={"mode": "luxury"})
    assert answer.status_code == 422 and "luxury" in answer.json()["detail"]
    bad = served.client.post("/api/jobs/upload", files={"file": ("x.mp4", b"nonsense" * 50)})
    assert bad.status_code == 422 and bad.json()["detail"].startswith("x.mp4")
    assert served.kept() == []
