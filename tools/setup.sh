#!/usr/bin/env bash
# Sets up everything in .venv: pinned packages, system libraries, the viewer, compiled kernels.
# Safe to run again: it does only what is missing. Used by every target of the Makefile.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

say() { printf '\033[1m%s\033[0m\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 4; }

# Installs Debian packages when we may, and otherwise says in one sentence what to do.
system_packages() {
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    say "Installing system packages: $*"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then
    say "Installing system packages: $*"
    sudo apt-get update -qq && sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  else
    fail "these system packages are missing; install them and run this again: $*"
  fi
}

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null ||
  fail "'$python' is not Python 3.11, 3.12 or 3.13; set PYTHON=/path/to/python3.11 and run this again."

# The stamp holds what the environment was made from, so that nothing is installed twice.
stamp=.venv/.setup-stamp
wanted=$(cat pyproject.toml constraints.txt tools/setup.sh reconstruction_pipeline/viewer/{package-lock.json,render_template.mjs} \
  reconstruction_pipeline_tests/readers/package-lock.json | sha256sum)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  system_packages "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
[ -x .venv/bin/python ] || "$python" -m venv .venv

say "Installing Python packages into .venv (a few minutes, once)"
pip() { .venv/bin/python -m pip --disable-pip-version-check -qq install "$@"; }
# torch first and alone: whatever build of the pinned version is at hand then satisfies every other package.
pip -c constraints.txt torch
pip -c constraints.txt -e '.[dev,deploy,web]'

# open3d links these; numba's thread pool wants OpenMP.
missing=$(.venv/bin/python - <<'PY'
import ctypes
for library, package in {"libEGL.so.1": "libegl1", "libGL.so.1": "libgl1", "libusb-1.0.so.0": "libusb-1.0-0",
                         "libgomp.so.1": "libgomp1", "libX11.so.6": "libx11-6"}.items():
    try:
        ctypes.CDLL(library)
    except OSError:
        print(package, end=" ")
PY
)
[ -z "$missing" ] || system_packages $missing

say "Fetching the viewer"
.venv/bin/python -m reconstruction_pipeline.viewer.install
say "Fetching the splat readers that tests compare with"
.venv/bin/python -m reconstruction_pipeline_tests.readers
say "Compiling kernels for this processor (once)"
.venv/bin/python -m reconstruction_pipeline.warmup
.venv/bin/reconstruct doctor --strict --for cpu
echo "$wanted" >"$stamp"
