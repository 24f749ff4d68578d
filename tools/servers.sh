#!/usr/bin/env bash
# Installs the servers that long tests start for themselves (PostgreSQL, Docker's engine), where that is possible
# without asking anybody; tests that lack one are skipped with a reason.
set -euo pipefail
missing=
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing="$missing postgresql"
command -v dockerd >/dev/null || missing="$missing docker.io"
[ -n "$missing" ] || exit 0
sudo=
[ "$(id -u)" = 0 ] || sudo="sudo -n"
if command -v apt-get >/dev/null && $sudo true 2>/dev/null; then
  printf '\033[1m%s\033[0m\n' "Installing servers for the long tests (once):$missing"
  $sudo apt-get update -qq
  # shellcheck disable=SC2086
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
  echo "note: some long tests are skipped; install and run this again:$missing" >&2
fi
