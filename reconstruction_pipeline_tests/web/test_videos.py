"""From a file to a scene through the API, with canned stages; and everything that is refused on the way."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.orchestration.ingesting import capture_of, open_catalog
from reconstruction_pipeline.orchestration.names import STAGES, VIDEOS
from reconstruction_pipeline_tests.orchestration.canned import CannedStages
from reconstruction_pipeline_tests.web.conftest import Served
from reconstruction_pipeline_tests.web.test_tus import add, begin


def test_a_video_becomes_a_scene_whose_files_are_served_in_ranges(served: Served, video: Path) -> None:
    served.launcher.assets = STAGES
    answer = served.send(video, preset="fastest")
    assert answer.status_code == 202, answer.text
    accepted = answer.json()
    assert accepted == {
        "key": "garden-walk",
        "url": "/api/videos/garden-walk",
        "run_id": accepted["run_id"],
        "begun": True,
    }
    assert answer.headers["location"] == "/api/videos/garden-walk"
    found = served.client.get("/api/videos/garden-walk").json()
    assert (found["state"], found["progress"], found["preset"]) == ("done", 1.0, "fastest"), found
    assert (
        found["run_id"] == accepted["run_id"] and found["grade"] in "ABCD" and found["metrics"]["key"] == "garden-walk"
    )
    assert found["viewer"] == "/api/videos/garden-walk/files/viewer.html"
    run = served.instance.get_run_by_id(accepted["run_id"])
    assert run and run.is_success, "the run is Dagster's own"

    listed = served.client.get("/api/videos")
    assert [item["key"] for item in listed.json()["videos"]] == ["garden-walk"]
    again = served.client.get("/api/videos", headers={"If-None-Match": listed.headers["etag"]})
    assert again.status_code == 304 and again.content == b""

    ply = next(file for file in found["files"] if file["name"] == "scene.ply")
    whole = served.client.get(ply["url"])
    assert len(whole.content) == ply["bytes"] and whole.content.startswith(b"ply")
    part = served.client.get(ply["url"], headers={"Range": "bytes=1-9"})
    assert (part.status_code, part.content) == (206, whole.content[1:10])
    assert part.headers["content-range"] == f"bytes 1-9/{ply['bytes']}"
    assert served.client.get(ply["url"], headers={"Range": "bytes=-5"}).content == whole.content[-5:]
    assert served.client.get(ply["url"], headers={"Range": f"bytes={10**9}-"}).status_code == 416
    assert served.client.head(ply["url"]).headers["content-length"] == str(ply["bytes"])
    assert served.client.get(found["report"]).headers["content-security-policy"].startswith("sandbox")
    with served.again() as client:
        assert client.get("/api/videos/garden-walk").json() == found, "a restarted server says the same"
    _is_a_result_for_earlier_clients(served, ply["bytes"])
    better = served.send(video, preset="fastest").json()
    assert better == {**accepted, "begun": False}, "what is done is not done again"


def _is_a_result_for_earlier_clients(served: Served, size: int) -> None:
    result = served.client.get("/api/result/garden-walk").json()
    assert result["metrics"]["preset"] == "fastest" and result["status"] == "completed"
    assert len(served.client.get(result["outputs"]["scene.ply"]).content) == size
    status = served.client.get("/api/jobs/garden-walk/status").json()
    assert (status["status"], status["progress"], status["error_message"]) == ("completed", 1.0, None)
    assert status["model_url"] == "/static/models/garden-walk.ply"
    model = served.client.get(status["model_url"])
    assert len(model.content) == size and 'filename="garden-walk.ply"' in model.headers["content-disposition"]


OUTSIDE = (
    "%2e%2e/garden-walk/scene.ply", "../../catalog/garden-walk.json", "%2e%2e/%2e%2e/catalog/garden-walk.json",
    "..%2f..%2fx", "/etc/passwd", "%2fetc%2fpasswd", "colmap", "", ".", "scene.ply/x", "x%00", "..\\x",
)  # fmt: skip


def test_only_a_scenes_own_files_are_served(served: Served, storage: Path) -> None:
    folder = "deliverables/garden-walk"
    for path in (f"{folder}/scene.ply", f"{folder}/colmap/x", "catalog/garden-walk.json", "x"):
        (storage / path).parent.mkdir(parents=True, exist_ok=True)
        (storage / path).write_text("secret")
    for root in ("/api/videos/garden-walk/files/", "/outputs/garden-walk/"):
        assert served.client.get(f"{root}scene.ply").text == "secret"
        for name in OUTSIDE:
            url = served.client.base_url.copy_with(raw_path=(root + name).encode())
            assert served.client.get(url).status_code in (404, 405), (root, name)


def test_links_out_of_the_folder_are_not_followed(served: Served, storage: Path, tmp_path: Path) -> None:
    folder = storage / "deliverables" / "walk"
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (folder / "scene.ply").symlink_to(tmp_path / "secret")
    (folder / "ok.txt").write_text("ok")
    assert served.client.get("/api/videos/walk/files/ok.txt").text == "ok"
    assert served.client.get("/api/videos/walk/files/scene.ply").status_code == 404


def test_the_same_content_is_one_video_whatever_its_name(served: Served, video: Path, tmp_path: Path) -> None:
    served.launcher.hold = True
    first = served.send(video, preset="fastest").json()
    other = tmp_path / "other.mp4"
    other.write_bytes(video.read_bytes())
    again = served.send(other, preset="fastest")
    assert (again.status_code, again.json()["key"], again.json()["begun"]) == (200, "garden-walk", False)
    assert again.json()["run_id"] == first["run_id"] and len(served.kept()) == 1


def test_other_content_under_the_same_name_is_another_video(served: Served, video: Path, tmp_path: Path) -> None:
    served.launcher.hold = True
    keys = set()
    for number in range(2):
        copy = tmp_path / str(number) / video.name
        copy.parent.mkdir()
        copy.write_bytes(video.read_bytes() + (b"\0\0\0\x0cfree%04d" % number))
        keys.add(served.send(copy).json()["key"])
    assert len(keys) == 2 and "garden-walk" in keys and len(served.kept()) == 2


def test_a_bad_file_is_refused_with_its_sentence_and_leaves_nothing(served: Served, tmp_path: Path) -> None:
    for name, data in {"empty.mp4": b"", "../../x.mp4": b"no video at all " * 99, "one.jpg": photo(0)}.items():
        answer = served.client.post("/api/videos", files={"file": (name, data)})
        assert answer.status_code == 422, (name, answer.text)
        sentence = answer.json()["detail"]
        assert sentence.startswith(name.rsplit("/", 1)[-1]) and sentence.endswith(".")
    assert served.kept() == [] and served.client.get("/api/videos").json() == {"videos": []}
    assert served.instance.get_dynamic_partitions(VIDEOS) == [] and not list(tmp_path.glob("x*"))


def photo(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


def test_photos_become_one_scene_by_form_and_by_resumable_uploads(served: Served) -> None:
    served.launcher.hold = True
    photos = [photo(seed) for seed in range(10)]
    files = [("file", (f"{i % 9}/IMG.jpg", data)) for i, data in enumerate(photos)]
    by_form = served.client.post("/api/videos", files=files, data={"name": "Büro"})
    assert by_form.status_code == 202, by_form.text
    assert by_form.json()["key"] == "buro"
    with zipfile.ZipFile(capture_of("buro")) as bundle:
        assert sorted(bundle.namelist()) == sorted(["IMG.jpg", *(f"IMG-{n}.jpg" for n in range(2, 11))])
    ids = []
    for number, data in enumerate(photos):
        at = begin(served.client, len(data), filename=f"IMG{'' if number == 0 else f'-{number + 1}'}.jpg", hold="")
        assert add(served.client, at, 0, data).status_code == 204
        ids.append(at.rsplit("/", 1)[1])
    again = served.client.post("/api/videos", json={"uploads": ids})
    assert (again.status_code, again.json()["key"]) == (200, "buro"), "the same photos, so the same video"


def test_unfinished_and_unknown_uploads_start_nothing(served: Served) -> None:
    at = begin(served.client, 100, filename="a.mp4", hold="")
    add(served.client, at, 0, b"x" * 10)
    answer = served.client.post("/api/videos", json={"uploads": [at.rsplit("/", 1)[1]]})
    assert answer.status_code == 409 and "10 of 100 bytes" in answer.json()["detail"]
    assert served.client.post("/api/videos", json={"uploads": ["0" * 32]}).status_code == 404
    for body in ({}, {"uploads": []}, {"uploads": [1]}, {"uploads": ["x"], "preset": "luxury"}, [], "x"):
        assert served.client.post("/api/videos", json=body).status_code in (404, 422), body
    assert served.client.head(at, headers={"Tus-Resumable": "1.0.0"}).headers["upload-offset"] == "10"


BOUND = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'


NO_FORMS: list[tuple[dict[str, str], bytes, int]] = [
    ({"Content-Type": "text/plain"}, b"x", 415),
    ({"Content-Type": "multipart/form-data"}, b"x", 415),
    ({"Content-Type": "multipart/form-data; boundary=b"}, b"nonsense", 400),
    ({"Content-Type": "multipart/form-data; boundary=b"}, BOUND + b"half of a vid", 400),
    ({"Content-Type": "multipart/form-data; boundary=b"}, b"--b\r\nX: " + b"x" * 9000, 400),
    ({"Content-Type": "multipart/form-data; boundary=b"}, b"--b--\r\n", 422),
    ({"Content-Type": "application/json"}, b"{", 400),
    ({"Content-Type": "application/json"}, b"[" * 300_000, 413),
]  # fmt: skip


def test_forms_that_are_none(served: Served) -> None:
    for headers, body, status in NO_FORMS:
        answer = served.client.post("/api/videos", content=body, headers=headers)
        assert answer.status_code == status, (body[:40], answer.text)
        assert isinstance(answer.json()["detail"], str) and served.kept() == []


def test_a_form_is_limited_in_size_whatever_it_announces(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONSTRUCTION_MAX_UPLOAD_GB", "0.001")
    from reconstruction_pipeline_tests.web.conftest import serve_here

    small = serve_here(served.instance)
    with small.client as client:

        def body() -> Any:
            yield BOUND
            for _ in range(40):
                yield b"x" * 100_000

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        assert client.post("/api/videos", content=body(), headers=headers).status_code == 413
        assert (
            client.post("/api/videos", content=b"", headers={**headers, "Content-Length": str(10**10)}).status_code
            == 413
        )
    assert served.kept() == []


def test_a_zip_bomb_and_a_zip_that_climbs_are_refused(served: Served, tmp_path: Path) -> None:
    bomb, climber = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(12):
            file.writestr(f"{number}.jpg", b"\0" * 20_000_000)
    with zipfile.ZipFile(climber, "w") as file:
        for number in range(12):
            file.writestr(f"../../{number}.jpg", photo(number))
    for name, data in {"bomb.zip": bomb, "climber.zip": climber}.items():
        answer = served.client.post("/api/videos", files={"file": (name, data.getvalue())})
        assert answer.status_code == 422 and name in answer.json()["detail"], answer.text
    assert served.kept() == [] and not list(tmp_path.rglob("*.jpg"))


def test_a_full_disk_and_a_silent_dagster_are_said(served: Served, video: Path) -> None:
    served.launcher.ready = False
    assert served.send(video).status_code == 503
    assert served.client.get("/health").json() == {"status": "starting"}
    at = begin(served.client, 5, filename="a.mp4")
    assert add(served.client, at, 0, b"12345").status_code == 503
    assert served.client.head(at, headers={"Tus-Resumable": "1.0.0"}).status_code == 200, "kept for another try"
    served.launcher.ready = True
    object.__setattr__(served.settings.operation, "min_free_gb", 10.0**9)
    for answer in (
        served.send(video),
        served.client.post("/api/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "5"}),
    ):
        assert answer.status_code == 507 and "must keep" in answer.json()["detail"]


def test_cancel_and_delete(served: Served, video: Path, storage: Path) -> None:
    client = served.client
    served.launcher.hold = True
    served.send(video)
    assert client.get("/api/videos/garden-walk").json()["state"] == "queued"
    refused = client.delete("/api/videos/garden-walk")
    assert refused.status_code == 409 and "cancel it first" in refused.json()["detail"]
    assert client.post("/api/videos/garden-walk/cancel").status_code == 202
    found = client.get("/api/videos/garden-walk").json()
    assert found["state"] == "canceled" and found["error"]
    assert client.post("/api/videos/garden-walk/cancel").status_code == 409
    served.launcher.hold = False
    assert served.send(video).json()["begun"], "what was canceled is run again when it is sent again"
    assert client.get("/api/videos/garden-walk").json()["state"] == "done"
    assert client.delete("/api/videos/garden-walk").status_code == 202
    assert client.get("/api/videos").json() == {"videos": []} and served.kept() == []
    assert not (storage / "keyframes" / "garden-walk").exists() and open_catalog().get("garden-walk") is None
    for path in ("/api/videos/garden-walk", "/api/videos/garden-walk/files/scene.ply"):
        assert client.get(path).status_code == 404
    assert client.post("/api/videos/garden-walk/cancel").status_code == 404
    assert client.delete("/api/videos/garden-walk").status_code == 404


def test_a_stage_that_refuses_shows_its_sentence(served: Served, stages: CannedStages, video: Path) -> None:
    from reconstruction_pipeline.artifacts.errors import StageFailed

    stages.errors["select_keyframes"] = [StageFailed("All frames are black; film in light.")]
    served.send(video)
    found = served.client.get("/api/videos/garden-walk").json()
    assert (found["state"], found["stage"]) == ("failed", "keyframes")
    assert found["error"] == "All frames are black; film in light." and found["grade"] == "F"
    assert found["report"] and not found["viewer"]
    with served.again() as client:
        assert client.get("/api/videos/garden-walk").json() == found
