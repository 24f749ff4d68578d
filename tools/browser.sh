#!/usr/bin/env bash
# Installs Chromium for the tests that open the pages, once, where that is possible without asking anybody.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done
sudo=
[ "$(id -u)" = 0 ] || sudo="sudo -n"
if command -v apt-get >/dev/null && $sudo true 2>/dev/null; then
  printf '\033[1m%s\033[0m\n' "Installing Chromium for the tests of the pages (once)"
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
else
  echo "note: the tests of the pages are skipped, as Chromium is not installed; install it and run this again." >&2
fi
