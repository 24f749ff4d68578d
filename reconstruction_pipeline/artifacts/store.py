"""The versioned store of artifacts, the same on local disks and object stores.

    <root>/<asset>/<key>/<version>/…files…, manifest.json
    <root>/<asset>/<key>/current.json        names the version readers use
    <root>/<asset>/<key>/failed.json         why the last attempt made nothing, if it did

A version is written whole before `current.json` is replaced in one step, so a reader, which resolves
`current.json` once, never sees a half-written or a changing artifact. A killed writer leaves only files
that nothing names.

A storage that fails for a moment costs a wait (`patience`), not the work of the stage that made the artifact.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from upath import UPath

from reconstruction_pipeline.artifacts.base import Artifact
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.failure import StageFailure
from reconstruction_pipeline.artifacts.keys import require_safe_key
from reconstruction_pipeline.artifacts.manifest import MANIFEST, Manifest, describe_files, first_difference
from reconstruction_pipeline.artifacts.patience import patiently
from reconstruction_pipeline.artifacts.superseded import GRACE, superseded, version_name

A = TypeVar("A", bound=Artifact)
KEEP_VERSIONS = 3


class ArtifactStore:
    """Publishes and loads artifacts under `root`; work in progress lives under local `scratch`."""

    def __init__(self, root: str | Path, scratch: Path, keep: int = KEEP_VERSIONS, grace: timedelta = GRACE) -> None:
        self.root = UPath(root)
        self.root.fs.invalidate_cache()  # other processes write there; object stores remember listings
        self.scratch = Path(scratch)
        self.keep = keep
        self.grace = grace

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return self.root.protocol in ("", "file", "local")

    def workspace(self, kind: str, key: str) -> Path:
        """A new, empty local folder for a stage to write into."""
        folder = self.scratch / "work" / f"{kind}-{require_safe_key(key)}-{uuid.uuid4().hex[:8]}"
        folder.mkdir(parents=True)
        return folder

    def publish(self, key: str, artifact: A) -> A:
        """Validate, store as a new version, make it current, drop old versions; returns the stored artifact.

        The artifact's folder is moved (local) or uploaded; it must not be used afterwards.
        """
        artifact.validate()
        now = datetime.now(UTC)
        version = version_name(now, uuid.uuid4().hex[:6])
        manifest = Manifest(
            kind=artifact.KIND,
            schema=artifact.SCHEMA,
            version=version,
            created_at=now.isoformat(timespec="seconds"),
            metrics=dict(artifact.metrics),
            verdict=artifact.verdict,
            files=describe_files(artifact.folder),
            provenance=artifact.provenance,
        )
        home = self._home(artifact.KIND, key)
        target = home / version
        patiently(lambda: (artifact.folder / MANIFEST).write_text(manifest.dumps()))
        far = not self.is_local
        patiently(lambda: self._place(artifact.folder, target), far)
        patiently(lambda: self._write_pointer(home / "current.json", {"version": version}), far)
        patiently(lambda: (home / "failed.json").unlink(missing_ok=True), far)
        patiently(lambda: self._prune(home, version), far)
        return patiently(lambda: self._open(type(artifact), target, manifest), far)

    def load(self, cls: type[A], key: str, version: str | None = None, thorough: bool = False) -> A:
        """The current (or a given) version; raises `InvalidArtifact` naming the stage to run again.

        Files must have the sizes they were stored with and, if `thorough`, the hashes.
        """
        version = version or self.current_version(cls.KIND, key)
        if version is None:
            raise InvalidArtifact(f"{key}: no {cls.KIND} stored yet; materialize '{cls.KIND}' for this video first.")
        target = self._home(cls.KIND, key) / version
        manifest = self.manifest(cls.KIND, key, version)
        if manifest.kind != cls.KIND or manifest.schema != cls.SCHEMA:
            raise InvalidArtifact(
                f"{key}: the stored {manifest.kind} has schema {manifest.schema}, this version reads "
                f"{cls.KIND} schema {cls.SCHEMA}; materialize '{cls.KIND}' again."
            )
        return self._open(cls, target, manifest, thorough)

    def manifest(self, kind: str, key: str, version: str | None = None) -> Manifest:
        """The manifest of a stored version."""
        version = version or self.current_version(kind, key)
        if version is None:
            raise InvalidArtifact(f"{key}: no {kind} stored yet; materialize '{kind}' for this video first.")
        path = self._home(kind, key) / version / MANIFEST
        if not path.exists():
            raise InvalidArtifact(f"{key}: version {version} of {kind} is gone; materialize '{kind}' again.")
        try:
            return Manifest.loads(path.read_text())
        except InvalidArtifact as error:
            raise InvalidArtifact(f"{path}: damaged; materialize '{kind}' again.") from error

    def current_version(self, kind: str, key: str) -> str | None:
        """The version readers use now, or None."""
        pointer = self._home(kind, key) / "current.json"
        try:
            return str(json.loads(pointer.read_text())["version"]) if pointer.exists() else None
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidArtifact(f"{pointer}: damaged ({error}); materialize '{kind}' again.") from error

    def record_failure(self, key: str, failure: StageFailure) -> None:
        """Remember that a stage ended without an artifact; a later `publish` forgets it."""
        home = self._home(failure.stage, key)
        home.mkdir(parents=True, exist_ok=True)
        self._write_pointer(home / "failed.json", failure.to_json())

    def failure(self, kind: str, key: str) -> StageFailure | None:
        """Why the last attempt of a stage made nothing, or None if it made something."""
        path = self._home(kind, key) / "failed.json"
        return StageFailure(**json.loads(path.read_text())) if path.exists() else None

    def forget(self, kind: str, key: str) -> None:
        """Delete every version of one asset of one video."""
        home = self._home(kind, key)
        if home.exists():
            home.fs.rm(home.path, recursive=True)

    def _home(self, kind: str, key: str) -> UPath:
        return self.root / kind / require_safe_key(key)

    def _open(self, cls: type[A], target: UPath, manifest: Manifest, thorough: bool = False) -> A:
        folder = self._localise(target, manifest, thorough)
        return cls(folder, manifest.metrics, manifest.verdict, manifest.version, manifest.provenance)

    def _place(self, folder: Path, target: UPath) -> None:
        if not self.is_local:
            target.fs.put(f"{folder}/", target.path, recursive=True)
            shutil.rmtree(folder)
            return
        destination = Path(target.path)
        destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.exists():
            shutil.rmtree(destination)  # half of an attempt before, from another disk
        shutil.move(folder, destination)

    def _write_pointer(self, path: UPath, body: Mapping[str, Any]) -> None:
        text = json.dumps(body, indent=1)
        if not self.is_local:
            path.write_text(text)
            return
        temporary = Path(path.path).with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path.path)

    def _localise(self, target: UPath, manifest: Manifest, thorough: bool) -> Path:
        """The version's folder on this machine; a damaged copy of a far one is fetched again."""
        folder = Path(target.path) if self.is_local else self._fetched(target, manifest)
        changed = first_difference(folder, manifest.files, thorough)
        if changed and not self.is_local:
            shutil.rmtree(folder)
            changed = first_difference(self._fetched(target, manifest), manifest.files, thorough)
        if changed:
            raise InvalidArtifact(
                f"{folder / changed}: missing or changed since it was stored; materialize '{manifest.kind}' again."
            )
        return folder

    def _fetched(self, target: UPath, manifest: Manifest) -> Path:
        """Our copy of a far version."""
        folder = self.scratch / "cache" / manifest.kind / target.parent.name / manifest.version
        if not folder.exists():
            partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
            partial.parent.mkdir(parents=True, exist_ok=True)
            target.fs.get(f"{target.path}/", str(partial), recursive=True)
            partial.replace(folder)
        os.utime(folder)  # in use: retention forgets copies by the time since then
        return folder

    def _prune(self, home: UPath, current: str) -> None:
        for version in superseded(self.versions(home), current, self.keep, datetime.now(UTC), self.grace):
            with contextlib.suppress(FileNotFoundError):  # another process prunes too
                home.fs.rm((home / version).path, recursive=True)

    def versions(self, home: UPath) -> list[str]:
        """Names of the folders in an asset's home, complete versions or not."""
        return sorted(child.name for child in home.iterdir() if child.is_dir() and not child.name.startswith("."))
