"""The trained models that ship inside the package, as files beside this module."""

from pathlib import Path

from omnipipe.spec.suggest import meant
from omnipipe.weights.errors import ModelNotFound

__all__ = ["builtin_folder", "builtin_names"]

_HERE = Path(__file__).parent / "builtin_models"


def builtin_names() -> list[str]:
    return sorted(folder.name for folder in _HERE.iterdir() if (folder / "config.json").is_file())


def builtin_folder(name: str) -> Path:
    names = builtin_names()
    if name not in names:
        raise ModelNotFound(f"builtin://{name}: no such model{meant(name, names)}; there is {', '.join(names)}")
    return _HERE / name
