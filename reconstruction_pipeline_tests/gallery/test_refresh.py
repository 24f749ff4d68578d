from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from upath import UPath

from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.gallery import refresh, refresh_gallery
from reconstruction_pipeline_tests.gallery.scenes import deliver, failed, metrics


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UPath]:
    if request.param == "local":
        yield UPath(tmp_path)
        return
    root = UPath(f"memory://{uuid.uuid4().hex}/deliverables")
    root.mkdir(parents=True)
    yield root
    root.fs.rm(root.path, recursive=True)


def names(page: UPath) -> list[str]:
    return re.findall(r'<li class="scene" data-name="([^"]+)"', page.read_text())


def test_every_scene_is_on_the_page_the_newest_first(folder: UPath) -> None:
    deliver(folder, metrics("old", made="2030-01-01T00:00:00+00:00"))
    deliver(folder, metrics("new", made="2031-01-01T00:00:00+00:00"))
    deliver(folder, failed("black", "No <light>."))
    (folder / ".black.1a2b3c4d.new").mkdir()  # being swapped in
    (folder / ".black.1a2b3c4d.new" / "metrics.json").write_text("{}")
    (folder / "arriving").mkdir()
    (folder / "arriving" / "scene.ply").write_bytes(b"ply")
    (folder / "README.txt").write_text("not a scene")
    page = refresh_gallery(folder)
    assert page == folder / "index.html"
    assert names(page) == ["black", "new", "old"]
    text = page.read_text()
    assert "No &lt;light&gt;." in text and "<title>3 scenes" in text
    assert 'href="new/viewer.html"' in text and 'src="new/thumbnail.jpg"' in text
    assert [child.name for child in folder.iterdir() if child.name.startswith(".index")] == []


def test_what_is_gone_leaves_the_page(folder: UPath) -> None:
    for key in ("a", "b"):
        deliver(folder, metrics(key))
    refresh_gallery(folder)
    folder.fs.rm((folder / "a").path, recursive=True)
    assert names(refresh_gallery(folder)) == ["b"]


def test_no_scene_yet(folder: UPath) -> None:
    assert "No scene has been made yet." in refresh_gallery(folder).read_text()


def test_an_old_scene_is_listed_by_its_files(folder: UPath) -> None:
    document = metrics("old")
    deliver(folder, document)
    del document["files"]
    (folder / "old" / "metrics.json").write_text(json.dumps(document))
    assert 'href="old/viewer.html"' in refresh_gallery(folder).read_text()


def test_a_scene_delivered_while_the_page_is_written_is_not_lost(
    folder: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run writes its page between this one's reading and writing; this one must not undo it."""
    deliver(folder, metrics("first"))
    write = refresh._write

    def late(page: UPath, text: str) -> None:
        monkeypatch.setattr(refresh, "_write", write)
        deliver(folder, metrics("second"))
        refresh_gallery(folder)
        write(page, text)

    monkeypatch.setattr(refresh, "_write", late)
    assert names(refresh_gallery(folder)) == ["first", "second"]


def test_many_runs_at_once_lose_nothing(folder: UPath) -> None:
    keys = [f"scene-{index:02d}" for index in range(12)]

    def run(key: str) -> None:
        deliver(folder, metrics(key))
        refresh_gallery(folder)

    threads = [threading.Thread(target=run, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(folder / "index.html") == keys


def test_endless_change_is_one_sentence(folder: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = iter(range(1000))
    monkeypatch.setattr(refresh, "_read", lambda _: {"a": json.dumps({"round": next(counter)})})
    with pytest.raises(StageFailed, match="change faster"):
        refresh_gallery(folder)
