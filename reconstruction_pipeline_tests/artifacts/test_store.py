from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts import Gate, Keyframes, Verdict
from reconstruction_pipeline.artifacts.base import Provenance
from reconstruction_pipeline.artifacts.errors import InvalidArtifact, UsageError
from reconstruction_pipeline.artifacts.failure import StageFailure
from reconstruction_pipeline.artifacts.keys import require_safe_key, video_key
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.artifacts.superseded import superseded, version_name


@pytest.fixture(params=["local", "object_store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    root = tmp_path / "storage" if request.param == "local" else f"memory://store-{tmp_path.name}"
    return ArtifactStore(str(root), tmp_path / "scratch", keep=2, grace=timedelta(0))


def make_keyframes(store: ArtifactStore, text: str = "jpeg", key: str = "clip") -> Keyframes:
    folder = store.workspace("keyframes", key)
    (folder / "images").mkdir()
    (folder / "images" / "a.jpg").write_text(text)
    (folder / "keyframes.csv").write_text("name\na.jpg\n")
    (folder / "camera.json").write_text('{"ordered": true}')
    return Keyframes(folder, {"selected": 1}, Verdict.of([Gate("enough", True, "block", "fine.", 1.0, 1.0)]))


def test_round_trip_keeps_files_numbers_and_verdict(store: ArtifactStore) -> None:
    made = replace(make_keyframes(store), provenance=Provenance({"source_video": "v1"}, {"count": 9}, "7", "run"))
    stored = store.publish("clip", made)
    loaded = store.load(Keyframes, "clip")
    assert loaded.version == stored.version
    assert loaded.path("images", "a.jpg").read_text() == "jpeg"
    assert loaded.metrics == {"selected": 1}
    assert loaded.verdict.gates[0].name == "enough"
    assert loaded.provenance == made.provenance


def test_a_reader_keeps_its_version_while_a_new_one_is_published(store: ArtifactStore) -> None:
    store.publish("clip", make_keyframes(store, "old"))
    reader = store.load(Keyframes, "clip")
    store.publish("clip", make_keyframes(store, "new"))
    assert reader.path("images", "a.jpg").read_text() == "old"
    assert store.load(Keyframes, "clip").path("images", "a.jpg").read_text() == "new"


def test_old_versions_are_dropped_beyond_the_limit(store: ArtifactStore) -> None:
    versions = [store.publish("clip", make_keyframes(store, str(i))).version for i in range(4)]
    with pytest.raises(InvalidArtifact, match="gone"):
        store.load(Keyframes, "clip", versions[0])
    assert store.load(Keyframes, "clip", versions[2]).path("images", "a.jpg").read_text() == "2"


def test_a_version_that_may_still_be_read_is_kept(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "storage", tmp_path / "scratch", keep=1)
    reader = store.publish("clip", make_keyframes(store, "old"))
    for text in "abc":
        store.publish("clip", make_keyframes(store, text))
    assert reader.path("images", "a.jpg").read_text() == "old"


def test_what_is_superseded_is_neither_current_nor_among_the_last_nor_recent() -> None:
    now = datetime(2030, 1, 10, tzinfo=UTC)
    names = [version_name(now - timedelta(days=days), f"{days:06d}") for days in (9, 8, 7, 6, 1, 0)]
    day = timedelta(days=1)
    assert superseded([*names, "notes", "2030"], names[-1], 2, now, day) == names[:4]
    assert superseded(names, names[1], 2, now, day) == [names[0], names[2], names[3]]
    # The one replaced 1 day ago was the newest until then: a reader may have begun with it.
    assert superseded(names, names[-1], 1, now, 2 * day) == names[:3]
    assert superseded(names[:1], None, 0, now, day) == []


def test_an_incomplete_artifact_is_refused_and_the_current_one_stays(store: ArtifactStore) -> None:
    store.publish("clip", make_keyframes(store, "good"))
    broken = make_keyframes(store)
    (broken.folder / "camera.json").unlink()
    with pytest.raises(InvalidArtifact, match=r"camera\.json"):
        store.publish("clip", broken)
    assert store.load(Keyframes, "clip").path("images", "a.jpg").read_text() == "good"


def test_a_writer_killed_before_the_pointer_leaves_the_old_version_current(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.publish("clip", make_keyframes(store, "good"))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_write_pointer", killed)
    with pytest.raises(KeyboardInterrupt):
        store.publish("clip", make_keyframes(store, "new"))
    monkeypatch.undo()
    assert store.load(Keyframes, "clip").path("images", "a.jpg").read_text() == "good"


def test_truncated_files_are_noticed(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "storage", tmp_path / "scratch")
    stored = store.publish("clip", make_keyframes(store, "complete"))
    stored.path("images", "a.jpg").write_text("comp")
    with pytest.raises(InvalidArtifact, match="changed since it was stored"):
        store.load(Keyframes, "clip")


def test_failures_are_kept_until_the_stage_succeeds(store: ArtifactStore) -> None:
    store.record_failure("clip", StageFailure("keyframes", "the video is black.", 2))
    failure = store.failure("keyframes", "clip")
    assert failure is not None
    assert (failure.sentence, failure.exit_code) == ("the video is black.", 2)
    store.publish("clip", make_keyframes(store))
    assert store.failure("keyframes", "clip") is None


def test_missing_artifact_names_the_stage(store: ArtifactStore) -> None:
    with pytest.raises(InvalidArtifact, match="materialize 'keyframes'"):
        store.load(Keyframes, "clip")


@pytest.mark.parametrize("key", ["..", "a/b", "A", "", "a,b", "a\nb", "-a"])
def test_unsafe_keys_never_reach_the_disk(store: ArtifactStore, key: str) -> None:
    with pytest.raises(UsageError):
        store.workspace("keyframes", key)
    with pytest.raises(UsageError):
        store.load(Keyframes, key)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Büro Clip 01.MP4", "buro-clip-01"),
        ("site a/drone.mov", "site-a-drone"),
        ("../../etc/passwd", "etc-passwd"),
        ("日本.mp4", "video"),
        ("a,b\nc.mp4", "a-b-c"),
        ("x" * 200 + ".mp4", "x" * 60),
    ],
)
def test_keys_are_safe_slugs(name: str, key: str) -> None:
    assert video_key(name) == key
    assert require_safe_key(key) == key
