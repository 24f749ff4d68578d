"""Reading descriptor files: TOML or YAML, checked to the last word before anything runs."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.external.checks import problem_of
from reconstruction_pipeline.external.descriptor import Program

HERE = Path(__file__).parent / "programs"
SUFFIXES = (".toml", ".yaml", ".yml")


def load_program(path: Path) -> Program:
    """The program that a file describes; raises `UsageError` in one sentence that names the file and the field."""
    return program_of(_read(path), str(path))


def program_of(body: Mapping[str, Any], where: str) -> Program:
    """The same from what the file says; `where` is what the sentence calls it."""
    try:
        program = TypeAdapter(Program).validate_python(body)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "it"
        raise UsageError(f"{where}: '{name}' is wrong ({first['msg']}); see docs/external.md.") from error
    if problem := problem_of(program):
        raise UsageError(f"{where}: {problem}.")
    return program


def _read(path: Path) -> Mapping[str, Any]:
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: a program is described in a file that ends with {', '.join(SUFFIXES)}.")
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".toml":
            return tomllib.loads(text)
        import yaml

        body = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the descriptor cannot be read ({error}); check the path.") from error
    except Exception as error:  # what tomllib and yaml raise for a malformed file
        reason = " ".join(str(error).split())
        raise UsageError(f"{path}: the descriptor is not well-formed ({reason}); correct it.") from error
    if not isinstance(body, Mapping):
        raise UsageError(f"{path}: the descriptor must be a table of fields; see docs/external.md.")
    return body


def descriptor_files(folders: Iterable[Path] = ()) -> dict[str, Path]:
    """Descriptor files by name: ours, and those in `folders`, which win over ours of the same name."""
    found = {}
    for folder in (HERE, *folders):
        for path in sorted(folder.glob("*")) if folder.is_dir() else ():
            if path.suffix.lower() in SUFFIXES:
                found[path.stem] = path
    return found


def shipped_programs() -> dict[str, Program]:
    """The programs that come with the pipeline, by name."""
    return {name: load_program(path) for name, path in descriptor_files().items()}


def find_program(named: str, folders: Iterable[Path] = ()) -> Program:
    """The program of a descriptor file, or of that name; raises `UsageError` where there is none."""
    path = Path(named).expanduser()
    if path.suffix.lower() in SUFFIXES or path.name != named:
        return load_program(path)
    known = descriptor_files(folders)
    if named not in known:
        raise UsageError(
            f"there is no external program '{named}'; give a descriptor file, or one of {', '.join(sorted(known))}."
        )
    return load_program(known[named])
