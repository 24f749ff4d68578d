"""Hardware profiles of the Docker executor: what a container gets by the name in its step's tag.

A YAML file, by default `docker/profiles.yaml`:

    cpu:
      container_kwargs: {nano_cpus: 4000000000, mem_limit: 16g}
    gpu:
      image: reconstruction-pipeline:cuda
      env_vars: [NUMBA_NUM_THREADS=8]
      container_kwargs:
        device_requests: [{driver: nvidia, count: -1, capabilities: [[gpu]]}]
        shm_size: 8g

A key of `container_kwargs` replaces the launcher's of the same name; variables are added to its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from reconstruction_pipeline.artifacts.errors import UsageError

REFUSED = ("auto_remove", "remove", "image", "command", "name", "environment", "network", "detach")
"""`auto_remove` would take away what the health check asks for; the others are the executor's own."""
DEVICE_KEYS = ("device_requests", "devices", "runtime")


@dataclass(frozen=True)
class HardwareProfile:
    """What a container gets: an image ("" keeps the deployment's), variables, and arguments of docker-py's `create`."""

    image: str = ""
    env_vars: tuple[str, ...] = ()
    container_kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asks_for_device(self) -> bool:
        """Whether containers of this profile see any device."""
        return any(self.container_kwargs.get(key) for key in DEVICE_KEYS)


def profiles_of(body: Mapping[str, Any], where: str) -> dict[str, HardwareProfile]:
    """Profiles by name; raises `UsageError` naming `where` for anything that is none."""
    found = {}
    for name, row in body.items():
        row = row or {}
        if not isinstance(row, Mapping) or set(row) - {"image", "env_vars", "container_kwargs"}:
            raise UsageError(f"{where}: profile '{name}' may have image, env_vars and container_kwargs; correct it.")
        kwargs = dict(row.get("container_kwargs") or {})
        if wrong := sorted(set(kwargs) & set(REFUSED)):
            raise UsageError(f"{where}: profile '{name}' must not set {', '.join(wrong)}; remove it.")
        found[str(name)] = HardwareProfile(str(row.get("image") or ""), tuple(row.get("env_vars") or ()), kwargs)
    if not found:
        raise UsageError(f"{where}: there is no profile in it; it needs at least 'cpu' and 'gpu'.")
    return found


def load_profiles(path: Path) -> dict[str, HardwareProfile]:
    """The profiles of a file; raises `UsageError` when there is none to read."""
    try:
        body = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(
            f"{path}: hardware profiles cannot be read ({error}); correct RECONSTRUCTION_PROFILES."
        ) from error
    if not isinstance(body, Mapping):
        raise UsageError(f"{path}: hardware profiles are a mapping by name; see docs/deploy.md.")
    return profiles_of(body, str(path))
