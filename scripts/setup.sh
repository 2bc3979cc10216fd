#!/usr/bin/env bash
# Makes .venv ready: third-party packages live in a cache outside the tree, keyed by what pins them, so that a second
# clone or run takes a second; the tree itself is installed into a thin .venv of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Omnipipe needs Python 3.11 or later; $("$python" --version) was found. Set PYTHON=/path/to/python3.11." >&2
  exit 1
}
cache=${OMNIPIPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/omnipipe}
key=$({ cat constraints.txt; "$python" scripts/requirements.py dev; "$python" -c 'import sys; print(sys.version, sys.prefix)'; } | sha256sum | cut -c1-16)
deps=$cache/venv-$key
mkdir -p "$cache"
if command -v flock >/dev/null; then # two checkouts may set up at once
  exec 9>"$cache/lock"
  flock 9
fi
if [ ! -e "$deps/.done" ]; then
  echo "setup: installing the pinned packages into $deps (once)"
  rm -rf "$deps"
  "$python" -m venv "$deps"
  "$python" scripts/requirements.py dev > "$deps/requirements.txt"
  "$deps/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -r "$deps/requirements.txt"
  touch "$deps/.done"
fi
if [ "$(cat .venv/.key 2>/dev/null)" != "$deps" ]; then
  rm -rf .venv
  "$python" -m venv --without-pip .venv
  site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  deps_site=$("$deps/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  echo "$deps_site" > "$site/omnipipe-deps.pth"
  "$deps/bin/python" -m pip --python .venv/bin/python install --quiet --disable-pip-version-check \
    --no-deps --no-build-isolation --editable .
  echo "$deps" > .venv/.key
fi
