#!/usr/bin/env bash
# Makes .venv ready: third-party packages live in a cache outside the tree, keyed by what pins them, so that a second
# clone or run takes a moment; the tree itself is installed into a thin .venv of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
  echo "Omnipipe needs Python 3.11 or later; $("$python" --version 2>&1 || true) was found." \
    "Set PYTHON=/path/to/python3.11." >&2
  exit 1
}
cache=${OMNIPIPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/omnipipe}
hash_of() { "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])'; }
key=$({ cat constraints.txt; "$python" scripts/requirements.py operator gateway stage dev; "$python" -c 'import sys; print(sys.version, sys.prefix)'; } | hash_of)
deps=$cache/venv-$key
mkdir -p "$cache"
if command -v flock >/dev/null; then # two checkouts may set up at once
  exec 9>"$cache/lock"
  flock 9
fi

if [ ! -e "$deps/.done" ]; then
  echo "setup: installing the pinned packages into $deps (once)"
  rm -rf "$deps"
  "$python" -m venv "$deps" || {
    echo "setup: $python has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
  }
  "$python" scripts/requirements.py operator gateway stage dev > "$deps/requirements.txt"
  "$deps/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -r "$deps/requirements.txt"
  touch "$deps/.done"
fi

# The second line changes when an editable install would: another place, other entry points or packages.
stamp=$(printf '%s\n' "$deps" "$({ pwd; cat pyproject.toml; } | hash_of)")
if [ "$(cat .venv/.key 2>/dev/null || true)" != "$stamp" ]; then
  if [ "$(head -n1 .venv/.key 2>/dev/null || true)" != "$deps" ] || [ ! -x .venv/bin/python ]; then
    rm -rf .venv
    "$python" -m venv --without-pip .venv
    purelib='import sysconfig; print(sysconfig.get_path("purelib"))'
    "$deps/bin/python" -c "$purelib" > "$(.venv/bin/python -c "$purelib")/omnipipe-deps.pth"
  fi
  "$deps/bin/python" -m pip --python .venv/bin/python install --quiet --disable-pip-version-check \
    --no-deps --no-build-isolation --editable .
  echo "$stamp" > .venv/.key
fi

# The JavaScript SDK judges the gateway, too. Without node its tests are skipped, which CI does not allow.
scripts/setup-js.sh >/dev/null || [ -z "${CI:-}" ]
