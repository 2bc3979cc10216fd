"""Manifests from files, for every command that takes one."""

from collections.abc import Iterable
from pathlib import Path

from omnipipe.cli.errors import CommandError, UnreadableFile
from omnipipe.cli.exits import Exit
from omnipipe.families.registry import BUILT_IN, FamilyUnusable, family_names, find_family, load_requests
from omnipipe.spec.errors import Finding, ManifestError
from omnipipe.spec.family import Family
from omnipipe.spec.reader import ValidatedPipeline, check_together, read_pipelines

__all__ = ["check_file", "find_files", "load"]

_STDIN = Path("-")
"""As in `kubectl apply -f -`: what came before in a pipe."""
_SUFFIXES = (".yaml", ".yml")
_LARGEST_BYTES = 4 << 20
"""A manifest is some kilobytes; Kubernetes itself takes 1.5 MiB for an object."""


def load(files: Iterable[Path]) -> list[ValidatedPipeline]:
    """Everything in the files, fit to be served together, or a CommandError with all that is wrong with all of them."""
    pipelines: list[ValidatedPipeline] = []
    findings: list[Finding] = []
    for file in files:
        try:
            pipelines.extend(check_file(file))
        except ManifestError as error:
            findings.extend(error.findings)
    try:
        check_together(pipelines)
    except ManifestError as error:
        findings.extend(error.findings)
    if findings:
        raise CommandError("\n".join(map(str, findings)), Exit.INVALID, located=True)
    return pipelines


def check_file(file: Path) -> list[ValidatedPipeline]:
    """Raises ManifestError for what is in the file, UnreadableFile for one that cannot be read."""
    try:
        with open(0 if file == _STDIN else file, "rb", closefd=file != _STDIN) as stream:
            data = stream.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise UnreadableFile(file, (error.strerror or str(error)).lower()) from error
    if len(data) > _LARGEST_BYTES:
        raise UnreadableFile(file, f"more than {_LARGEST_BYTES >> 20} MiB is no manifest")
    return read_pipelines(data, str(file), _family, family_names())


def _family(name: str) -> Family | None:
    try:
        family = find_family(name)
        if family is not None and name not in BUILT_IN:
            load_requests(family)  # a gateway would find what is wrong with them, later
        return family
    except FamilyUnusable as error:  # nothing is wrong with the file, and it cannot be checked either
        raise CommandError(str(error), Exit.INVALID) from error


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The manifests in folders, at any depth, and the files that were named."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
            if not found:
                raise CommandError(f"no *.yaml or *.yml file in {path}", Exit.INVALID)
            files.extend(found)
        else:
            files.append(path)
    return list(dict.fromkeys(files))
