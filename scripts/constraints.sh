#!/usr/bin/env bash
# Writes constraints.txt: the newest versions that fit pyproject.toml, names and versions only.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
"${PYTHON:-python3}" -m venv "$fresh/venv"
"$fresh/venv/bin/python" scripts/requirements.py operator gateway stage dev > "$fresh/requirements.txt"
"$fresh/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$fresh/requirements.txt"
{
  echo "# Every version this project is built and tested with. Regenerate: make constraints"
  "$fresh/venv/bin/python" -m pip freeze --disable-pip-version-check --exclude pip --exclude setuptools
} > "$fresh/constraints.txt"
if grep -nE '@|://|^-' "$fresh/constraints.txt"; then
  echo "constraints: the lines above are not plain name==version" >&2
  exit 1
fi
mv "$fresh/constraints.txt" constraints.txt
echo "constraints.txt: $(grep -c == constraints.txt) packages"
