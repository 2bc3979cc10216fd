"""The images of the Dockerfile: built, named by what they are made from, brought to the cluster."""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from scripts.cluster.base import make_base
from scripts.cluster.builder import find_builder
from scripts.cluster.errors import ClusterError
from scripts.cluster.layout import cache_folder
from scripts.cluster.machine import Machine
from scripts.cluster.processes import call

__all__ = ["OWN_BASE", "TARGETS", "build_image", "image_name", "inputs_hash", "load_image"]

ROOT: Final = Path(__file__).parents[2]
TARGETS: Final = ("operator", "gateway", "stage")
OWN_BASE: Final = "own"
"""As `base`: the one made of Debian's packages."""


def image_name(target: str, tag: str) -> str:
    return f"localhost/omnipipe-{target}:{tag}"


def build_image(target: str, tag: str, base: str | None = None, arguments: Mapping[str, str] | None = None) -> str:
    """Its name. Raises CannotRun, ClusterError."""
    if target not in TARGETS:
        raise ClusterError(f"no image is called {target!r}; there are {', '.join(TARGETS)}")
    builder = find_builder()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    told = {"VERSION": version, "REVISION": _revision(), **(arguments or {})}
    if base is not None:
        told["BASE"] = make_base(builder) if base == OWN_BASE else base
    name = image_name(target, tag)
    builder.build(ROOT, [f"--target={target}", f"--tag={name}", *(f"--build-arg={k}={v}" for k, v in told.items())])
    return name


def load_image(name: str, machine: Machine) -> None:
    """Where the cluster's node finds it."""
    archive = cache_folder() / f"image-{name.rpartition('/')[2].replace(':', '-')}.tar"
    try:
        find_builder().save(name, archive)
        machine.load(archive)
    finally:
        archive.unlink(missing_ok=True)


def inputs_hash(*more: str) -> str:
    """Of everything that an image is made from."""
    digest = hashlib.sha256("\0".join(more).encode())
    for file in _inputs():
        digest.update(f"\0{file.relative_to(ROOT)}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _inputs() -> Iterator[Path]:
    yield from (ROOT / name for name in ("Dockerfile", ".dockerignore", "pyproject.toml", "constraints.txt"))
    yield ROOT / "scripts" / "requirements.py"
    for folder in ("runtime", "operator"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file


def _revision() -> str:
    try:
        return call("git", "-C", ROOT, "rev-parse", "HEAD").strip()
    except ClusterError:
        return "unknown"
