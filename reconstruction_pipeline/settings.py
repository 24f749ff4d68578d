"""Where things live. The only module that reads the environment.

- `RECONSTRUCTION_STORAGE`: folder or fsspec URL of all artifacts and deliverables
  (default: `storage/` beside `dagster.yaml` in a checkout, else `~/reconstruction`).
- `RECONSTRUCTION_UPLOADS`: folder or fsspec URL that the `video_uploads` sensor watches
  (default: `uploads/` beside the storage).
- `RECONSTRUCTION_SCRATCH`: local folder for work in progress
  (default: `.scratch/` in a local storage, else a folder in the system's).
- `RECONSTRUCTION_WEIGHTS`: local folder of optional model weights, such as those of LPIPS
  (default: `weights/` in a local storage).
- `DEPTH_MODEL_PATH`: an ONNX file of a monocular depth model, in place of the one in the weights (default: none).
- `DAGSTER_HOME`: Dagster's instance (default: `dagster_home/` in a local storage).

How it is operated, all optional (`Operation`):

- `RECONSTRUCTION_EXECUTOR`: where steps of runs run: `processes` (default), `docker` or `kubernetes`.
- `RECONSTRUCTION_PROFILES`: the YAML file of the Docker executor's hardware profiles.
- `RECONSTRUCTION_GPUS`: ids of the cards that steps may take, such as `0,1`
  (default: `CUDA_VISIBLE_DEVICES`, else every card that the machine has).
- `RECONSTRUCTION_WEBHOOK`: URL that failed runs, failed gates and refused uploads are posted to.
- `RECONSTRUCTION_UI_URL`: address of Dagster's UI, for links in those posts.
- `RECONSTRUCTION_RETENTION`: `report` (default) or `delete`: what the nightly schedule does.
- `RECONSTRUCTION_MIN_FREE_GB`: uploads wait while the storage's disk has less (default 5).
- `RECONSTRUCTION_MAX_UPLOAD_GB`: larger uploads are refused (default 100).
- `RECONSTRUCTION_POSES_COMMAND`: a program that finds camera poses where COLMAP does not, as one would type it;
  `{images}` and `{output}` stand for folders: pictures to read, and where to leave a COLMAP model. Or a descriptor.
- `RECONSTRUCTION_EXTERNAL`: stages done by programs that are not ours, such as
  `training=/etc/trainer.toml compression=splat-transform` (docs/external.md).
- `RECONSTRUCTION_PROGRAMS`: a folder of descriptors of such programs, known by their names.
- `RECONSTRUCTION_ALLOW_NONCOMMERCIAL`: `1` allows programs whose licences forbid commercial use.

Of `reconstruct serve`, all optional (`Web`):

- `RECONSTRUCTION_TOKENS`: who may use it: `role:token` by commas, with the roles `read`, `upload` and `admin`, each of
  which includes those before it; a token has 16 characters or more (default: whoever reaches it, on this machine only).
- `RECONSTRUCTION_CORS_ORIGINS`: pages of other sites that may use it: origins by commas (default: none).
- `RECONSTRUCTION_REQUESTS_PER_SECOND`: what one address may ask, four times that at once (default 500).
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import UsageError


@dataclass(frozen=True)
class Operation:
    """How a deployment is operated; see the module's table. `gpus` None means all."""

    executor: str = "processes"
    profiles: Path | None = None
    gpus: tuple[str, ...] | None = None
    webhook: str = ""
    ui_url: str = ""
    retention_deletes: bool = False
    min_free_gb: float = 5.0
    max_upload_gb: float = 100.0
    poses_command: tuple[str, ...] = ()
    external: tuple[str, ...] = ()
    programs: Path | None = None
    allow_noncommercial: bool = False


WEB_ROLES = ("read", "upload", "admin")
MIN_TOKEN = 16


@dataclass(frozen=True)
class Web:
    """How the web front is guarded; see the module's table. `tokens` is token -> role; none: open to this machine."""

    tokens: Mapping[str, str] = field(default_factory=dict)
    cors_origins: tuple[str, ...] = ()
    requests_per_second: float = 500.0


@dataclass(frozen=True)
class Settings:
    """Places, as plain strings and paths; see the module's table."""

    storage: str
    uploads: str
    scratch: Path
    weights: Path
    dagster_home: Path
    operation: Operation = field(default_factory=Operation)
    depth_model: Path | None = None
    web: Web = field(default_factory=Web)

    @property
    def storage_is_local(self) -> bool:
        """Whether the storage root is a local folder."""
        return _is_local(self.storage)

    @property
    def uploads_are_local(self) -> bool:
        """Whether the watched place is a local folder."""
        return _is_local(self.uploads)


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
    if _is_local(storage):
        home = _local_path(storage)
        storage = str(home)
        scratch = home / ".scratch"
        uploads = home.parent / "uploads"
    else:
        home = base
        scratch = Path(tempfile.gettempdir()) / "reconstruction_scratch"
        uploads = base.parent / "uploads"
    watched = env.get("RECONSTRUCTION_UPLOADS") or str(uploads)
    depth_model = env.get("DEPTH_MODEL_PATH")
    return Settings(
        storage=storage,
        uploads=watched if not _is_local(watched) else str(_local_path(watched)),
        scratch=Path(env.get("RECONSTRUCTION_SCRATCH") or scratch).expanduser().resolve(),
        weights=Path(env.get("RECONSTRUCTION_WEIGHTS") or home / "weights").expanduser().resolve(),
        dagster_home=Path(env.get("DAGSTER_HOME") or home / "dagster_home").expanduser().resolve(),
        operation=_operation(env),
        depth_model=Path(depth_model).expanduser().resolve() if depth_model else None,
        web=_web(env),
    )


def _operation(env: Mapping[str, str]) -> Operation:
    profiles = env.get("RECONSTRUCTION_PROFILES")
    programs = env.get("RECONSTRUCTION_PROGRAMS")
    gpus = env.get("RECONSTRUCTION_GPUS", env.get("CUDA_VISIBLE_DEVICES"))
    return Operation(
        executor=_choice(env, "RECONSTRUCTION_EXECUTOR", "processes", "docker", "kubernetes"),
        profiles=Path(profiles).expanduser().resolve() if profiles else None,
        gpus=None
        if gpus is None
        else tuple(part.strip() for part in gpus.split(",") if part.strip() not in ("", "-1")),
        webhook=env.get("RECONSTRUCTION_WEBHOOK", ""),
        ui_url=env.get("RECONSTRUCTION_UI_URL", "").rstrip("/"),
        retention_deletes=_choice(env, "RECONSTRUCTION_RETENTION", "report", "delete") == "delete",
        min_free_gb=_number(env, "RECONSTRUCTION_MIN_FREE_GB", Operation.min_free_gb),
        max_upload_gb=_number(env, "RECONSTRUCTION_MAX_UPLOAD_GB", Operation.max_upload_gb),
        poses_command=_command(env, "RECONSTRUCTION_POSES_COMMAND"),
        external=_command(env, "RECONSTRUCTION_EXTERNAL"),
        programs=Path(programs).expanduser().resolve() if programs else None,
        allow_noncommercial=_choice(env, "RECONSTRUCTION_ALLOW_NONCOMMERCIAL", "0", "1") == "1",
    )


def _web(env: Mapping[str, str]) -> Web:
    tokens = {}
    for part in _list(env, "RECONSTRUCTION_TOKENS"):
        role, _, token = part.partition(":")
        if role not in WEB_ROLES or len(token) < MIN_TOKEN or not re.fullmatch(r"[!-~]+", token):
            raise UsageError(  # never with the token in it
                f"RECONSTRUCTION_TOKENS has an entry that is not role:token with a role of {', '.join(WEB_ROLES)} and"
                f" at least {MIN_TOKEN} characters, such as upload:{'x' * MIN_TOKEN}."
            )
        tokens[token] = role
    return Web(
        tokens=tokens,
        cors_origins=_list(env, "RECONSTRUCTION_CORS_ORIGINS"),
        requests_per_second=_number(
            env, "RECONSTRUCTION_REQUESTS_PER_SECOND", Web.requests_per_second, "requests, over 0", over=0.0
        ),
    )


def _list(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in env.get(name, "").split(",") if part.strip())


def _command(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(env.get(name, "")))
    except ValueError as error:
        raise UsageError(f"{name} is no command line ({error}); close its quotes.") from error


def _choice(env: Mapping[str, str], name: str, default: str, *others: str) -> str:
    value = env.get(name) or default
    if value not in (default, *others):
        raise UsageError(f"{name} is '{value}'; set it to {default} or {' or '.join(others)}.")
    return value


def _number(env: Mapping[str, str], name: str, default: float, unit: str = "gigabytes", over: float = -1.0) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not max(0.0, over) <= value < float("inf") or value == over:
        raise UsageError(f"{name} is '{text}'; set it to a number of {unit}.")
    return value


def _is_local(place: str) -> bool:
    return "://" not in place or place.startswith("file://")


def _local_path(place: str) -> Path:
    return Path(place.removeprefix("file://")).expanduser().resolve()


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
    os.environ["RECONSTRUCTION_UPLOADS"] = settings.uploads
    os.environ["RECONSTRUCTION_SCRATCH"] = str(settings.scratch)
    os.environ["RECONSTRUCTION_WEIGHTS"] = str(settings.weights)
    if settings.depth_model:
        os.environ["DEPTH_MODEL_PATH"] = str(settings.depth_model)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
