"""Where things live. The only module that reads the environment.

- `RECONSTRUCTION_STORAGE`: folder or fsspec URL of all artifacts and deliverables
  (default: `storage/` beside `dagster.yaml` in a checkout, else `~/reconstruction`).
- `RECONSTRUCTION_UPLOADS`: folder that the `video_uploads` sensor watches
  (default: `uploads/` beside the storage).
- `RECONSTRUCTION_SCRATCH`: local folder for work in progress
  (default: `.scratch/` in a local storage, else a folder in the system's).
- `RECONSTRUCTION_WEIGHTS`: local folder of optional model weights, such as those of LPIPS
  (default: `weights/` in a local storage).
- `DAGSTER_HOME`: Dagster's instance (default: `dagster_home/` in a local storage).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Places, as plain strings and paths; see the module's table."""

    storage: str
    uploads: Path
    scratch: Path
    weights: Path
    dagster_home: Path

    @property
    def storage_is_local(self) -> bool:
        """Whether the storage root is a local folder."""
        return "://" not in self.storage or self.storage.startswith("file://")


def checkout_root() -> Path | None:
    """The folder of `dagster.yaml` when the package runs from a checkout, else None."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "dagster.yaml").is_file() and (root / "pyproject.toml").is_file() else None


def instance_config() -> Path:
    """The project's `dagster.yaml`: at the checkout's root, or inside the installed package."""
    return (checkout_root() or Path(__file__).resolve().parent) / "dagster.yaml"


def workspace_file() -> Path:
    """The project's `workspace.yaml`, found likewise."""
    return (checkout_root() or Path(__file__).resolve().parent) / "workspace.yaml"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment; pure, creates nothing."""
    env = os.environ if environment is None else environment
    root = checkout_root()
    base = root / "storage" if root else Path.home() / "reconstruction"
    storage = env.get("RECONSTRUCTION_STORAGE") or str(base)
    local = "://" not in storage or storage.startswith("file://")
    if local:
        home = Path(storage.removeprefix("file://")).expanduser().resolve()
        storage = str(home)
        scratch = home / ".scratch"
        uploads = home.parent / "uploads"
    else:
        home = base
        scratch = Path(tempfile.gettempdir()) / "reconstruction_scratch"
        uploads = base.parent / "uploads"
    return Settings(
        storage=storage,
        uploads=Path(env.get("RECONSTRUCTION_UPLOADS") or uploads).expanduser().resolve(),
        scratch=Path(env.get("RECONSTRUCTION_SCRATCH") or scratch).expanduser().resolve(),
        weights=Path(env.get("RECONSTRUCTION_WEIGHTS") or home / "weights").expanduser().resolve(),
        dagster_home=Path(env.get("DAGSTER_HOME") or home / "dagster_home").expanduser().resolve(),
    )


def use_dagster_home(settings: Settings) -> None:
    """Make every Dagster call of this process and its children see the same instance and the same places.

    Writes the settings back as absolute paths, as children may start in another folder, and puts the
    project's `dagster.yaml` into the home unless the user has written one.
    """
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    config = settings.dagster_home / "dagster.yaml"
    if not config.exists():
        partial = config.with_name(f".dagster.yaml.{os.getpid()}")
        partial.write_text(instance_config().read_text())
        partial.replace(config)
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    os.environ["RECONSTRUCTION_STORAGE"] = settings.storage
    os.environ["RECONSTRUCTION_UPLOADS"] = str(settings.uploads)
    os.environ["RECONSTRUCTION_SCRATCH"] = str(settings.scratch)
    os.environ["RECONSTRUCTION_WEIGHTS"] = str(settings.weights)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
