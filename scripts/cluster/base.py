"""A base image with Python, made of Debian's packages: for machines that reach no registry of images."""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from scripts.cluster.builder import Builder
from scripts.cluster.layout import cache_folder
from scripts.cluster.processes import call
from scripts.cluster.programs import find_program

__all__ = ["make_base"]

_NAME: Final = "localhost/omnipipe-base"
_RECIPE: Final = "bookworm-1"
"""The number changes with what is below."""
_PACKAGES: Final = "python3,python3-venv,ca-certificates"
_UNUSED: Final = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache/apt")


def make_base(builder: Builder) -> str:
    """The image's name, once the builder has it. The tree it is made from is kept in the cache. Raises CannotRun,
    ClusterError."""
    name = f"{_NAME}:{_RECIPE}"
    if builder.has(name):
        return name
    tree = cache_folder() / f"base-{_RECIPE}.tar"
    with tempfile.TemporaryDirectory(prefix="omnipipe-base-", dir=cache_folder()) as folder:
        if not tree.exists():
            _bootstrap(Path(folder) / "root", tree)
        context = Path(folder) / "context"
        context.mkdir()
        (context / "base.tar").hardlink_to(tree)
        (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n", encoding="utf-8")
        builder.build(context, ["--tag", name])
    return name


def _bootstrap(root: Path, tree: Path) -> None:
    told = ("--variant=minbase", f"--include={_PACKAGES}", "bookworm")
    call(find_program("debootstrap"), *told, root, timeout_s=900)
    for place in _UNUSED:
        shutil.rmtree(root / place)
    part = tree.with_suffix(".part")
    call("tar", "-C", root, "--exclude=./var/lib/apt/lists/*", "-cf", part, ".", timeout_s=300)
    part.rename(tree)
