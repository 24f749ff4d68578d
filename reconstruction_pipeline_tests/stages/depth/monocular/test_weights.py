from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, MissingRequirement
from reconstruction_pipeline.settings import load_settings
from reconstruction_pipeline.stages.depth.monocular.weights import (
    DEPTH_ANYTHING,
    PublishedModel,
    default_path,
    download_model,
    find_model,
)

DATA = b"weights" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/gone":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(DATA)))
            self.end_headers()
            self.wfile.write(DATA if self.path == "/model" else DATA[:100])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def published(url: str, sha256: str = SHA256) -> PublishedModel:
    return PublishedModel("model.onnx", url, "none", sha256)


def test_without_a_file_there_is_no_model_and_nothing_is_fetched(tmp_path: Path) -> None:
    assert find_model(tmp_path) is None and find_model(None) is None and not list(tmp_path.iterdir())


def test_the_default_is_pinned_by_revision_and_checksum() -> None:
    assert len(DEPTH_ANYTHING.sha256) == 64 and "/resolve/main/" not in DEPTH_ANYTHING.url
    assert DEPTH_ANYTHING.licence == "Apache-2.0"


def test_another_checksum_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    path = default_path(tmp_path)
    path.parent.mkdir()
    path.write_bytes(DATA)
    with pytest.raises(InvalidArtifact, match=f"begins with {SHA256[:8]}, not {DEPTH_ANYTHING.sha256[:8]}"):
        find_model(tmp_path)


def test_a_file_of_ones_own_is_held_to_the_checksum_noted_beside_it(tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    with pytest.raises(MissingRequirement, match=r"own\.onnx: there is no such file"):
        find_model(tmp_path, own)
    own.write_bytes(DATA)
    assert find_model(tmp_path, own) == (own, SHA256)
    (tmp_path / "own.onnx.sha256").write_text(f"{SHA256}  own.onnx\n")
    assert find_model(tmp_path, own) == (own, SHA256)
    own.write_bytes(DATA + b"!")
    with pytest.raises(InvalidArtifact, match=f"not {SHA256[:8]}"):
        find_model(tmp_path, own)


def test_a_download_is_kept_only_when_it_is_right(tmp_path: Path, server: str) -> None:
    for address, wanted, error, words in (
        ("/model", "0" * 64, InvalidArtifact, "not 00000000"),
        ("/short", SHA256, MissingRequirement, "100 of 7000 bytes"),
        ("/gone", SHA256, MissingRequirement, "Not Found"),
    ):
        with pytest.raises(error, match=words) as caught:
            download_model(tmp_path, published(server + address, wanted))
        assert "\n" not in str(caught.value) and not list((tmp_path / "depth").iterdir())
    model = download_model(tmp_path, published(f"{server}/model"))
    assert model.path.read_bytes() == DATA and model == find_model(tmp_path, None, published(""))
    assert download_model(tmp_path, published("http://127.0.0.1:9/unreachable")) == model, "fetched once"


def test_an_unreachable_address_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(MissingRequirement, match=r"cannot be fetched .*DEPTH_MODEL_PATH") as caught:
        download_model(tmp_path, published("http://127.0.0.1:9/model"))
    assert "\n" not in str(caught.value)
    assert find_model(tmp_path, None, published("")) is None and not list((tmp_path / "depth").iterdir())


def test_without_a_pinned_checksum_the_first_one_counts(tmp_path: Path, server: str) -> None:
    model = download_model(tmp_path, published(f"{server}/model", ""))
    assert (tmp_path / "depth" / "model.onnx.sha256").read_text().split() == [SHA256, "model.onnx"]
    model.path.write_bytes(b"changed")
    with pytest.raises(InvalidArtifact, match=f"not {SHA256[:8]}"):
        find_model(tmp_path, None, published("", ""))


def test_the_setting_names_a_file(tmp_path: Path) -> None:
    assert load_settings({}).depth_model is None
    assert load_settings({"DEPTH_MODEL_PATH": str(tmp_path / "a.onnx")}).depth_model == tmp_path / "a.onnx"
