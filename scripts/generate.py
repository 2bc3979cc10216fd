"""Writes what is generated from the sources and committed: the CRDs, from `omnipipe.spec`, for `kubectl apply`, for
the chart (which must be whole by itself when it is packaged), and for people as docs/crd-reference.md; and the
chart's dashboards.
"""

from collections.abc import Mapping
from pathlib import Path

from scripts.crd_reference import render_reference
from scripts.dashboards import render_dashboards

from omnipipe.spec.crd import render_crds

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    crds = render_crds()
    _write("crds", crds)
    _write("charts/omnipipe/files/crds", crds)
    _write("docs", {"crd-reference.md": render_reference()})
    _write("charts/omnipipe/files/dashboards", render_dashboards())


def _write(folder: str, files: Mapping[str, str]) -> None:
    (ROOT / folder).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (ROOT / folder / name).write_text(text, encoding="utf-8")
        print(f"{folder}/{name}")


if __name__ == "__main__":
    main()
