from __future__ import annotations

from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, UsageError
from reconstruction_pipeline.orchestration.catalog import Catalog, Entry


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(str(tmp_path))


def test_what_is_registered_is_found_again(catalog: Catalog) -> None:
    catalog.register(Entry("walk", "/in/walk.mp4", "ab" * 32, "uploads"))
    found = catalog.require("walk")
    assert (found.origin, found.sha256, found.via) == ("/in/walk.mp4", "ab" * 32, "uploads")
    assert found.added_at
    catalog.forget("walk")
    assert catalog.get("walk") is None


def test_other_content_under_a_taken_name_gets_a_suffix(catalog: Catalog) -> None:
    first, second = "ab" * 32, "cd" * 32
    assert catalog.name_for("walk", first) == "walk"
    catalog.register(Entry("walk", "/in/walk.mp4", first))
    assert catalog.name_for("walk", first) == "walk"
    assert catalog.name_for("walk", second) == "walk-cdcdcdcd"


def test_an_unknown_key_says_what_to_do(catalog: Catalog) -> None:
    with pytest.raises(InvalidArtifact, match="reconstruct run"):
        catalog.require("nobody")


def test_keys_cannot_leave_the_folder(catalog: Catalog) -> None:
    with pytest.raises(UsageError):
        catalog.get("../secrets")
