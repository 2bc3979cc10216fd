#!/usr/bin/env bash
# Installs what the JavaScript tests need into a cache outside the tree, keyed by what pins it, and prints the folder
# that holds node_modules. Quick when it is there already.
set -euo pipefail
cd "$(dirname "$0")/../tests/integration/gateway/js"
for tool in node npm; do
  command -v "$tool" >/dev/null || {
    echo "setup-js: $tool is not installed; the JavaScript tests need it" >&2
    exit 1
  }
done
cache=${OMNIPIPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/omnipipe}
key=$({ cat package.json package-lock.json .npmrc; node --version; } | sha256sum | cut -c1-16)
folder=$cache/js-$key
mkdir -p "$cache"
if command -v flock >/dev/null; then # two checkouts may set up at once
  exec 9>"$cache/lock-js"
  flock 9
fi
if [ ! -e "$folder/.done" ]; then
  echo "setup-js: installing the pinned packages into $folder (once)" >&2
  rm -rf "$folder"
  mkdir -p "$folder"
  cp package.json package-lock.json .npmrc "$folder"
  npm ci --prefix "$folder" --no-audit --no-fund --loglevel=error >&2
  touch "$folder/.done"
fi
echo "$folder"
