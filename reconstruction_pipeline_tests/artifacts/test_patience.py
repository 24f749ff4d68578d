"""What storing does while the storage is away, and that a damaged far copy is fetched again."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts import Keyframes, patience
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.patience import patiently
from reconstruction_pipeline.artifacts.store import ArtifactStore


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(patience.time, "sleep", found.append)
    return found


def failing(*errors: Exception) -> tuple[list[Exception], object]:
    left = list(errors)

    def action() -> str:
        if left:
            raise left.pop(0)
        return "stored"

    return left, action


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def test_what_may_pass_is_tried_again_and_what_may_not_is_not(slept: list[float]) -> None:
    _, action = failing(full(), full())
    assert patiently(action) == "stored"  # type: ignore[arg-type]
    assert slept == list(patience.PAUSES[:2])
    left, action = failing(PermissionError(errno.EACCES, "Permission denied"), full())
    with pytest.raises(PermissionError):
        patiently(action)  # type: ignore[arg-type]
    assert len(left) == 1
    _, action = failing(RuntimeError("the client's own"))
    assert patiently(action, far=True) == "stored"  # type: ignore[arg-type]


def test_the_last_error_is_told(slept: list[float]) -> None:
    _, action = failing(*(full() for _ in range(99)))
    with pytest.raises(OSError, match="No space left"):
        patiently(action)  # type: ignore[arg-type]
    assert slept == list(patience.PAUSES)


def made(store: ArtifactStore) -> Keyframes:
    folder = store.workspace("keyframes", "clip")
    (folder / "images").mkdir()
    for name in ("images/a.jpg", "keyframes.csv", "camera.json"):
        (folder / name).write_text("as it was stored")
    return Keyframes(folder)


def test_a_disk_that_was_full_for_a_moment_costs_a_wait_and_not_the_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ArtifactStore(tmp_path / "storage", tmp_path / "scratch")
    place, errors = store._place, [full(), full()]

    def full_twice(folder: Path, target: object) -> None:
        if errors:
            Path(target.path).mkdir(parents=True, exist_ok=True)  # type: ignore[attr-defined]
            raise errors.pop()
        place(folder, target)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "_place", full_twice)
    store.publish("clip", made(store))
    assert store.load(Keyframes, "clip", thorough=True).path("images", "a.jpg").read_text() == "as it was stored"


def test_a_changed_bit_is_found_by_a_thorough_look_and_a_far_copy_is_fetched_again(tmp_path: Path) -> None:
    near = ArtifactStore(tmp_path / "storage", tmp_path / "scratch")
    near.publish("clip", made(near))
    near.load(Keyframes, "clip").path("camera.json").write_text("As it was stored")
    near.load(Keyframes, "clip")
    with pytest.raises(InvalidArtifact, match=r"camera\.json: missing or changed .* materialize 'keyframes' again"):
        near.load(Keyframes, "clip", thorough=True)
    far = ArtifactStore(f"memory://patience-{tmp_path.name}", tmp_path / "far")
    far.publish("clip", made(far))
    far.load(Keyframes, "clip").path("camera.json").write_text("As it was stored")
    assert far.load(Keyframes, "clip", thorough=True).path("camera.json").read_text() == "as it was stored"
