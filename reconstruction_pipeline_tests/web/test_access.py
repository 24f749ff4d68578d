"""Who gets in, and who does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from starlette.websockets import WebSocketDisconnect

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.settings import load_settings
from reconstruction_pipeline.web.access import Buckets
from reconstruction_pipeline_tests.web.conftest import Served, serve_here

TOKENS = {f"{role}-{'x' * 16}": role for role in ("read", "upload", "admin")}


@pytest.fixture
def guarded(storage: Path) -> Iterator[Served]:
    with dg.DagsterInstance.ephemeral() as instance:
        made = serve_here(instance, tokens=TOKENS)
        with made.client:
            yield made


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {role}-{'x' * 16}"}


def test_roles_include_those_before_them(guarded: Served) -> None:
    asked = {
        "read": lambda headers: guarded.client.get("/api/videos", headers=headers),
        "upload": lambda headers: guarded.client.post("/api/videos/walk/cancel", headers=headers),
        "admin": lambda headers: guarded.client.delete("/api/videos/walk", headers=headers),
    }
    order = list(asked)
    for role in order:
        for needed, request in asked.items():
            answer = request(bearer(role))
            allowed = order.index(role) >= order.index(needed)
            assert (answer.status_code == 403) is not allowed, (role, needed, answer.text)
    assert guarded.client.get("/health").status_code == 200, "health needs no token"


def test_wrong_tokens_are_refused_then_slowed_down_and_the_right_one_still_works(guarded: Served) -> None:
    wrong = ["", "Bearer ", "Bearer x", "Basic eDp4", f"Bearer read-{'x' * 15}", "Bearer " + "y" * 5000]
    for header in wrong:
        assert guarded.client.get("/api/videos", headers={"Authorization": header}).status_code == 401, header[:20]
    many = [guarded.client.get("/api/videos", headers={"Authorization": "Bearer no"}).status_code for _ in range(30)]
    assert set(many) == {401, 429}
    assert guarded.client.get("/api/videos", headers=bearer("read")).status_code == 200


def test_bytes_are_not_taken_from_strangers(guarded: Served) -> None:
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "10"}
    assert guarded.client.post("/api/uploads", headers=tus).status_code == 401
    assert guarded.client.post("/api/uploads", headers={**tus, **bearer("read")}).status_code == 403
    assert guarded.client.post("/api/videos", files={"file": b"x"}).status_code == 401
    assert guarded.kept() == []


def test_the_page_keeps_a_token_in_a_cookie_that_scripts_cannot_read(guarded: Served) -> None:
    assert guarded.client.post("/api/session", json={"token": "wrong"}).status_code == 401
    answer = guarded.client.post("/api/session", json={"token": f"upload-{'x' * 16}"})
    assert answer.json() == {"role": "upload", "needs_token": True}
    assert "httponly" in answer.headers["set-cookie"].lower() and "samesite=lax" in answer.headers["set-cookie"].lower()
    assert guarded.client.get("/api/videos").status_code == 200
    assert guarded.client.delete("/api/videos/walk").status_code == 403
    assert guarded.client.delete("/api/session").status_code == 204
    assert guarded.client.get("/api/videos").status_code == 401


def test_a_token_of_any_letters_is_only_a_wrong_one(guarded: Served, served: Served) -> None:
    for token in ("\u0081\u00e7\U000284ff", "a;b\r\nSet-Cookie: x=y", "\x00"):
        assert guarded.client.post("/api/session", json={"token": token}).status_code == 401
        open_to_all = served.client.post("/api/session", json={"token": token})
        assert open_to_all.json()["role"] == "admin" and "set-cookie" not in open_to_all.headers


def test_a_listener_needs_a_token(guarded: Served) -> None:
    with guarded.client.websocket_connect("/api/videos/walk/events") as socket:
        assert "token" in socket.receive_json()["detail"]
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 4401


def test_other_sites_pages_and_other_names_are_refused(served: Served) -> None:
    client = served.client
    assert client.get("/api/videos", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/api/videos", headers={"Host": "localhost:8000"}).status_code == 200
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9999"):
        assert client.post("/api/videos/walk/cancel", headers={"Origin": origin}).status_code == 403
    assert client.post("/api/videos/walk/cancel", headers={"Origin": "http://127.0.0.1:8000"}).status_code == 404
    assert (
        "access-control-allow-origin" not in client.get("/api/videos", headers={"Origin": "https://x.example"}).headers
    )


def test_other_origins_only_where_they_are_named(storage: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        made = serve_here(instance, cors_origins=("https://ours.example",))
        with made.client as client:
            ours = client.get("/api/videos", headers={"Origin": "https://ours.example"})
            assert ours.headers["access-control-allow-origin"] == "https://ours.example"
            assert client.post("/api/videos/x/cancel", headers={"Origin": "https://ours.example"}).status_code == 404
            assert client.post("/api/videos/x/cancel", headers={"Origin": "https://evil.example"}).status_code == 403


def test_too_many_requests_are_told_when_to_come_again(storage: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        made = serve_here(instance, requests_per_second=5.0)
        with made.client as client:
            answers = [client.get("/api/session") for _ in range(40)]
    assert [answer.status_code for answer in answers[:15]] == [200] * 15
    assert answers[-1].status_code == 429 and int(answers[-1].headers["retry-after"]) >= 1


def test_buckets_fill_again() -> None:
    bucket = Buckets(1000.0, 2.0)
    assert [bucket.wait("a"), bucket.wait("a")] == [0, 0]
    assert 0 < bucket.wait("a") <= 0.001 and bucket.wait("b") == 0
    time.sleep(0.005)
    assert bucket.wait("a") == 0


@pytest.mark.parametrize("text", ["secret", "root:xxxxxxxxxxxxxxxxxxxx", "read:short", "readonly"])
def test_tokens_that_cannot_be_meant_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(UsageError) as error:
        load_settings({"RECONSTRUCTION_TOKENS": text})
    assert "RECONSTRUCTION_TOKENS" in str(error.value) and text not in str(error.value)


def test_settings_of_the_web() -> None:
    found = load_settings({"RECONSTRUCTION_TOKENS": f"read:{'r' * 16}, admin:{'a' * 20}"}).web
    assert found.tokens == {"r" * 16: "read", "a" * 20: "admin"}
    assert load_settings({}).web.tokens == {}
    with pytest.raises(UsageError):
        load_settings({"RECONSTRUCTION_REQUESTS_PER_SECOND": "0"})
