"""The whole line on an S3-compatible server that this test starts: storage and uploads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import fsspec
import pytest
from upath import UPath

from reconstruction_pipeline.artifacts import Keyframes
from reconstruction_pipeline.orchestration.catalog import Catalog, Entry
from reconstruction_pipeline.orchestration.ingesting import capture_of
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.orchestration.names import STAGES, VIDEOS
from reconstruction_pipeline.orchestration.operations.retire import holdings
from reconstruction_pipeline.orchestration.uploads import find_uploads
from reconstruction_pipeline_tests.orchestration.canned import CannedStages, Line

BUCKET = "s3://scenes"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    found = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    found.start()
    host, port = found.get_host_and_port()
    yield f"http://{host}:{port}"
    found.stop()


@pytest.fixture
def far_line(
    server: str, tmp_path: Path, storage: Path, stages: CannedStages, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Line]:
    """A line whose storage and uploads are in a bucket, with nothing but settings to say so."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("RECONSTRUCTION_STORAGE", f"{BUCKET}/storage")
    monkeypatch.setenv("RECONSTRUCTION_UPLOADS", f"{BUCKET}/uploads")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    filesystem = fsspec.filesystem("s3")
    if not filesystem.exists(BUCKET):
        filesystem.mkdir(BUCKET)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Line(instance, storage, stages)
    filesystem.rm(BUCKET, recursive=True)
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_a_line_in_a_bucket_is_stored_delivered_read_again_and_retired(far_line: Line) -> None:
    (UPath(f"{BUCKET}/uploads/site") / "walk.mp4").write_bytes(b"video")
    (upload,) = find_uploads(f"{BUCKET}/uploads")
    assert (upload.name, upload.size) == ("site/walk.mp4", 5) and upload.stamp
    catalog = Catalog(f"{BUCKET}/storage")
    catalog.register(Entry("walk", upload.origin, via="uploads", fingerprint=upload.fingerprint))
    far_line.instance.add_dynamic_partitions(VIDEOS, ["walk"])
    assert capture_of("walk").read_bytes() == b"video"

    assert far_line.run(preset="fastest").success
    store = open_store()
    versions = {stage: store.current_version(stage, "walk") for stage in STAGES}
    assert all(versions.values())
    assert store.load(Keyframes, "walk").path("keyframes.csv").is_file()
    delivered = UPath(f"{BUCKET}/storage/deliverables/walk")
    assert json.loads((delivered / "metrics.json").read_text())["preset"] == "fastest"
    assert (delivered / "colmap" / "images").is_dir() and (delivered / "scene.ply").stat().st_size > 0

    assert far_line.run("keyframes").success
    assert open_store().current_version("keyframes", "walk") != versions["keyframes"]

    for item in holdings(open_store(), catalog, "walk"):
        item.delete()
    left = fsspec.filesystem("s3").find(f"{BUCKET}/storage")
    assert [path for path in left if "/walk/" in path or path.endswith("walk.json")] == []
