"""Writes what is generated from the sources and committed: the CRDs, from `omnipipe.spec`."""

from pathlib import Path

from omnipipe.spec.crd import render_crds

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    folder = ROOT / "crds"
    folder.mkdir(exist_ok=True)
    for name, text in render_crds().items():
        (folder / name).write_text(text, encoding="utf-8")
        print(f"crds/{name}")


if __name__ == "__main__":
    main()
