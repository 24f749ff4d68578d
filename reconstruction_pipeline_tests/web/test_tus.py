"""Resumable uploads by the protocol: cut, resumed, contradicted, too large."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from reconstruction_pipeline.web.incoming import Incoming, safe_name
from reconstruction_pipeline_tests.web.conftest import Served

TUS = {"Tus-Resumable": "1.0.0"}
OCTETS = {**TUS, "Content-Type": "application/offset+octet-stream"}


def metadata(**pairs: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}".strip() for name, value in pairs.items())


def begin(client: Any, length: int, **pairs: str) -> str:
    headers = {**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata(**pairs)}
    answer = client.post("/api/uploads", headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["tus-resumable"] == "1.0.0"
    location: str = answer.headers["location"]
    return location


def add(client: Any, at: str, offset: int, data: bytes) -> Any:
    return client.patch(at, content=data, headers={**OCTETS, "Upload-Offset": str(offset)})


def offset(client: Any, at: str) -> int:
    answer = client.head(at, headers=TUS)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    return int(answer.headers["upload-offset"])


def test_what_the_server_can_do(served: Served) -> None:
    answer = served.client.options("/api/uploads")
    assert answer.status_code == 204 and answer.headers["tus-version"] == "1.0.0"
    assert "creation" in answer.headers["tus-extension"] and "termination" in answer.headers["tus-extension"]
    assert answer.headers["tus-max-size"] == str(100 * 10**9)


def test_cut_at_every_quarter_and_resumed_by_other_servers(served: Served, video: Path) -> None:
    served.launcher.hold = True
    data = video.read_bytes()
    headers = {**TUS, "Upload-Length": str(len(data)), "Upload-Metadata": metadata(filename="../../Garden walk.mp4")}
    at = served.client.post("/api/videos", headers=headers).headers["location"]
    come = 0
    for quarter in range(4):
        with served.again() as client:  # a restart between any two
            assert offset(client, at) == come
            piece = data[come : (quarter + 1) * len(data) // 4 if quarter < 3 else None]
            answer = add(client, at, come, piece)
            assert answer.status_code == 204, answer.text
            come += len(piece)
            assert answer.headers["upload-offset"] == str(come)
    assert answer.headers["content-location"] == "/api/videos/garden-walk"
    (kept,) = served.kept()
    assert kept.name == "Garden walk.mp4"
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == hashlib.sha256(data).hexdigest()
    with served.again() as client:
        assert client.get("/api/videos/garden-walk").json()["state"] == "queued"
        assert client.head(at, headers=TUS).status_code == 404, "finished uploads are no uploads"


def test_a_file_that_cannot_be_used_is_refused_with_the_last_byte(served: Served) -> None:
    text = b"this is no video\n" * 100
    at = begin(served.client, len(text), filename="text.mp4")
    answer = add(served.client, at, 0, text)
    assert answer.status_code == 422 and "text.mp4" in answer.json()["detail"]
    assert served.kept() == [] and served.client.get("/api/videos").json() == {"videos": []}


def test_creation_with_its_first_bytes(served: Served) -> None:
    headers = {**OCTETS, "Upload-Length": "10", "Upload-Metadata": metadata(filename="a.mp4", hold="")}
    answer = served.client.post("/api/uploads", content=b"12345", headers=headers)
    assert answer.status_code == 201 and answer.headers["upload-offset"] == "5"
    assert offset(served.client, answer.headers["location"]) == 5
    assert served.client.head(answer.headers["location"], headers=TUS).headers["upload-length"] == "10"


def test_contradictions_are_answered_and_change_nothing(served: Served) -> None:
    at = begin(served.client, 10, filename="a.mp4", hold="")
    assert add(served.client, at, 0, b"123").status_code == 204
    assert add(served.client, at, 0, b"123").status_code == 409
    assert add(served.client, at, 7, b"123").status_code == 409
    assert add(served.client, at, 3, b"x" * 8).status_code == 413
    assert offset(served.client, at) == 3
    bad: list[tuple[dict[str, str], int]] = [
        ({**OCTETS}, 400),
        ({**OCTETS, "Upload-Offset": "-1"}, 400),
        ({**OCTETS, "Upload-Offset": "1e3"}, 400),
        ({**OCTETS, "Upload-Offset": "9" * 40}, 400),
        ({**TUS, "Upload-Offset": "3", "Content-Type": "text/plain"}, 415),
        ({**OCTETS, "Tus-Resumable": "2.0.0", "Upload-Offset": "3"}, 412),
    ]
    for headers, status in bad:
        assert served.client.patch(at, content=b"x", headers=headers).status_code == status, headers
    assert served.client.head(at).status_code == 412
    assert served.client.delete(at, headers=TUS).status_code == 204
    assert served.client.delete(at, headers=TUS).status_code == 404
    assert served.kept() == []


def test_creations_that_cannot_be_meant(served: Served) -> None:
    bad: list[tuple[dict[str, str], int]] = [
        ({}, 400),
        ({"Upload-Length": "-5"}, 400),
        ({"Upload-Length": "nan"}, 400),
        ({"Upload-Length": str(101 * 10**9)}, 413),
        ({"Upload-Length": str(10**17)}, 413),
        ({"Upload-Length": "5", "Upload-Metadata": "filename ###"}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": "filename " + "QQ==" * 2000}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": metadata(preset="luxury")}, 422),
    ]
    for headers, status in bad:
        assert served.client.post("/api/uploads", headers={**TUS, **headers}).status_code == status, headers
    for id in ("x", "..", "../../etc", "0" * 31, "0" * 32, "%2e%2e%2f" * 4):
        assert served.client.head(f"/api/uploads/{id}", headers=TUS).status_code in (404, 405), id
    assert served.kept() == []


def test_unfinished_uploads_are_given_up_after_a_day(served: Served) -> None:
    at = begin(served.client, 10, filename="a.mp4")
    incoming = Incoming(served.settings)
    created = incoming.data(at.rsplit("/", 1)[1]).stat().st_mtime
    assert incoming.give_up_old(created + 80_000) == 0
    assert incoming.give_up_old(created + 90_000) == 1
    assert served.kept() == []


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("../../x", "x"),
        ("..\\..\\x.mp4", "x.mp4"),
        ("/etc/passwd", "passwd"),
        ("Büro 1.MP4", "Buro 1.MP4"),
        (".hidden.mp4", "hidden.mp4"),
        ("a\0b\n.mp4", "a_b_.mp4"),
        ("", "video"),
        ("..", "video"),
        ("影片.mp4", "video.mp4"),
        ("x" * 300 + ".mp4", "x" * 100 + ".mp4"),
        ("$(rm -rf).zip", "_(rm -rf).zip"),
    ],
)
def test_names_lose_what_could_harm(given: str, safe: str) -> None:
    assert safe_name(given) == safe
