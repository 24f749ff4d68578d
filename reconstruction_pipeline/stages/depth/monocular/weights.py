"""The file of the monocular model: which one is used, whether it is the right one, and getting it on request.

A run never downloads. Depth Anything V2 Small (Yang et al., NeurIPS 2024) is the default because its weights
are Apache-2.0; Base and Large are for non-commercial use only. Any other export serves too, as a file of one's own.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, MissingRequirement

SUBFOLDER = "depth"
COMMAND = "reconstruct doctor --download depth-model"
TIMEOUT_S = 60.0
MAX_BYTES = 4 * 2**30
"""A download is broken off beyond this."""


class PublishedModel(NamedTuple):
    """A published ONNX file; `sha256` of the whole file, empty where no citable source gives one."""

    name: str
    url: str
    licence: str
    sha256: str = ""


DEPTH_ANYTHING = PublishedModel(
    "depth_anything_v2_small.onnx",
    # The revision's own file; the hub lists the same SHA-256 for it (Git LFS).
    "https://huggingface.co/onnx-community/depth-anything-v2-small/resolve/"
    "4472b7362082ad9968fee890ca0f1e5aca36b93d/onnx/model.onnx",
    "Apache-2.0",
    "afb6a5c28f3b6bf1618c6e43f02073ef9dfdc70e937502d51603e57b0a1df10c",
)


class ModelFile(NamedTuple):
    """A model that is there, and the SHA-256 of its file."""

    path: Path
    sha256: str


def default_path(weights_folder: Path, published: PublishedModel = DEPTH_ANYTHING) -> Path:
    """Where a downloaded model lies."""
    return weights_folder / SUBFOLDER / published.name


def find_model(
    weights_folder: Path | None, chosen: Path | None = None, published: PublishedModel = DEPTH_ANYTHING
) -> ModelFile | None:
    """The model to use: `chosen` (DEPTH_MODEL_PATH) or else the downloaded one; None where there is neither.

    The downloaded file must have the pinned checksum; any file must have the one noted in `<file>.sha256`, if
    that exists. Raises MissingRequirement (chosen, but not there) and InvalidArtifact (another checksum).
    """
    if chosen is None and weights_folder is None:
        return None
    path = chosen if chosen is not None else default_path(Path(weights_folder or "."), published)
    if not path.is_file():
        if chosen is None:
            return None
        raise MissingRequirement(f"{path}: there is no such file; correct DEPTH_MODEL_PATH, or unset it.")
    try:
        found = _sha256(path)
        note = _noted(path)
    except OSError as error:
        raise InvalidArtifact(f"{path}: cannot be read ({error.strerror}); check its permissions.") from error
    pinned = published.sha256 if chosen is None else ""
    for wanted in (pinned, note):
        if wanted and found != wanted:
            raise InvalidArtifact(
                f"{path}: its SHA-256 begins with {found[:8]}, not {wanted[:8]}; "
                + (
                    f"remove it and run '{COMMAND}'."
                    if chosen is None
                    else "get it again, or correct its .sha256 file."
                )
            )
    return ModelFile(path, found)


def download_model(weights_folder: Path, published: PublishedModel = DEPTH_ANYTHING) -> ModelFile:
    """Fetch the published model into `weights_folder` unless the right file is there; only on request.

    The file appears under its name only when it is whole and its checksum right. Without a pinned checksum the
    one found is noted in `<file>.sha256`, which later runs are held to. Raises MissingRequirement (not reachable,
    no room) and InvalidArtifact (another checksum).
    """
    path = default_path(weights_folder, published)
    if path.is_file() and (present := find_model(weights_folder, None, published)) is not None:
        return present
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        found = _fetch(published.url, partial)
        wanted = published.sha256 or _noted(path)
        if wanted and found != wanted:
            raise InvalidArtifact(
                f"{published.url}: what came has a SHA-256 that begins with {found[:8]}, not {wanted[:8]}; "
                "nothing was kept, so try again later or from another network."
            )
        if not wanted:
            _note(path).write_text(f"{found}  {path.name}\n")
        partial.replace(path)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = (
            getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
        )
        raise MissingRequirement(
            f"{published.url}: cannot be fetched to {path.parent} ({reason}); check the network and the disk, "
            "or fetch it elsewhere and set DEPTH_MODEL_PATH to the file."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return ModelFile(path, found)


def _fetch(url: str, target: Path) -> str:
    """Write what the URL gives; its SHA-256."""
    digest, size = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response, target.open("wb") as stream:
        promised = response.headers.get("Content-Length")
        while block := response.read(1 << 20):
            size += len(block)
            if size > MAX_BYTES:
                raise OSError("it is larger than any model")
            digest.update(block)
            stream.write(block)
    if promised is not None and size != int(promised):
        raise OSError(f"it ended after {size} of {promised} bytes")
    return digest.hexdigest()


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _noted(path: Path) -> str:
    """The checksum in `<file>.sha256` (as `sha256sum` writes it), empty without one."""
    words = _note(path).read_text().split() if _note(path).is_file() else []
    return words[0].lower() if words else ""


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
