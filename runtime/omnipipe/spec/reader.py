"""From text, or from an object of a cluster, to pipelines that can be served: the one way in for the command line, the
supervisor, the admission webhook and the operator. Families are passed in; no file is opened here."""

import copy
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from omnipipe.spec.cluster_only import section_for_clusters
from omnipipe.spec.cluster_rules import check_cluster
from omnipipe.spec.compiler import AddressBook, compile_plan
from omnipipe.spec.document import Document, read_documents
from omnipipe.spec.errors import Finding, ManifestError, PathKey, Problem, dotted
from omnipipe.spec.family import Family
from omnipipe.spec.manifest import API_VERSION, KIND, Pipeline
from omnipipe.spec.plan import Plan
from omnipipe.spec.resolve import resolve
from omnipipe.spec.rules import check_fields, check_model
from omnipipe.spec.schema_problems import STRUCTURE, problems_of
from omnipipe.spec.suggest import meant, shown

__all__ = ["FindFamily", "ValidatedPipeline", "check_together", "read_object", "read_pipelines"]

FindFamily = Callable[[str], Family | None]
_SERVER_METADATA: Final = frozenset(
    {
        "uid", "resourceVersion", "generation", "generateName", "creationTimestamp", "deletionTimestamp",
        "deletionGracePeriodSeconds", "managedFields", "ownerReferences", "finalizers", "selfLink",
    }
)  # fmt: skip
"""What an API server writes into an object's metadata, beside `status`. It is no part of the manifest: an object that
was read from a cluster, or dumped to a file with `kubectl get -o yaml`, is the manifest it was made from."""


_OWN_RULES: Final = (("gateway",), ("transport",))
"""Sections with rules between their fields, about which nothing is said while one of these is wrong."""

_NAME: Final = ("metadata", "name")


@dataclass(frozen=True, slots=True)
class ValidatedPipeline:
    """A manifest without findings, and the family it names."""

    pipeline: Pipeline
    family: Family
    file: str = ""
    line: int | None = None
    """Where the object begins in its file."""

    @property
    def served_names(self) -> tuple[str, ...]:
        return self.pipeline.spec.gateway.served_model_names or (self.pipeline.name,)

    def compile(self, addresses: AddressBook, *, curve: bool = False) -> Plan:
        return compile_plan(self.pipeline, self.family, addresses, curve=curve)


def read_pipelines(
    text: str | bytes, file: str, find_family: FindFamily, family_names: Iterable[str]
) -> list[ValidatedPipeline]:
    """All pipelines of a file, at least one. Raises ManifestError with everything that is wrong with any of them.
    `family_names` are for "did you mean"."""
    documents, findings = read_documents(text, file)
    pipelines: list[ValidatedPipeline] = []
    seen: dict[tuple[str, str], int] = {}
    for document in documents:
        pipeline, family, problems = _check(document.value, find_family, family_names)
        findings += [_finding(problem, document, file) for problem in problems]
        if pipeline is None:
            continue
        key = (pipeline.metadata.namespace, pipeline.name)
        if any(problem.path == _NAME for problem in problems):
            continue
        first = seen.setdefault(key, document.line)
        if first != document.line:
            problem = Problem(_NAME, f'"{pipeline.name}" is already the pipeline on line {first}')
            findings.append(_finding(problem, document, file))
        elif family is not None and not problems:
            pipelines.append(ValidatedPipeline(pipeline, family, file, document.line))
    if findings:
        raise ManifestError(sorted(findings, key=lambda finding: finding.line or 0))
    return pipelines


def read_object(value: Mapping[str, object], find_family: FindFamily, family_names: Iterable[str]) -> ValidatedPipeline:
    """One object that came from no file. Raises ManifestError, without lines."""
    pipeline, family, problems = _check(dict(value), find_family, family_names)
    if problems or pipeline is None or family is None:
        raise ManifestError([Finding(dotted(problem.path), None, problem.message) for problem in problems])
    return ValidatedPipeline(pipeline, family)


def check_together(pipelines: Sequence[ValidatedPipeline]) -> None:
    """Whether these can be served behind one port: names and model names differ. Raises ManifestError."""
    findings = []
    owners: dict[str, ValidatedPipeline] = {}
    names: dict[str, ValidatedPipeline] = {}
    for one in pipelines:
        other = names.setdefault(one.pipeline.name, one)
        if other is not one:
            message = f'"{one.pipeline.name}" is also the pipeline in {other.file}:{other.line}'
            findings.append(Finding("metadata.name", one.line, message, one.file))
            continue
        for name in one.served_names:
            owner = owners.setdefault(name, one)
            if owner is not one:
                message = f'"{name}" is also served by pipeline "{owner.pipeline.name}" ({owner.file}:{owner.line})'
                findings.append(Finding("spec.gateway.servedModelNames", one.line, message, one.file))
    if findings:
        raise ManifestError(findings)


def _finding(problem: Problem, document: Document, file: str) -> Finding:
    return Finding(dotted(problem.path), document.lines.at(problem.path), problem.message, file)


def _check(
    value: dict[str, Any], find_family: FindFamily, family_names: Iterable[str]
) -> tuple[Pipeline | None, Family | None, list[Problem]]:
    """The pipeline as far as it could be made out, its family, and all that is wrong."""
    problems = _check_kind(value)
    if problems:
        return None, None, problems
    value = _own_part(value)
    try:
        pipeline = Pipeline.model_validate(value)
    except ValidationError as error:
        problems = problems_of(error)
        rest = _without(value, [problem.path for problem in problems])
        if rest is None:
            return None, None, problems
        try:
            pipeline = Pipeline.model_validate(rest)
        except ValidationError:
            return None, None, problems
    wrong = {problem.path for problem in problems}
    sections = {path[:2] for path in wrong if path[1:2] in _OWN_RULES and section_for_clusters(path) is None}
    problems += [p for p in check_fields(pipeline.spec) if p.path[:2] not in sections]
    problems += [p for p in check_cluster(pipeline.spec) if not _follows(p.path, wrong)]
    family = find_family(pipeline.spec.model.family)
    if family is None:
        name = pipeline.spec.model.family
        message = f'no family is called "{name}"{meant(name, family_names)}'
        return pipeline, None, [*problems, Problem(("spec", "model", "family"), message)]
    _, graph_problems = resolve(pipeline.spec, family)
    further = [*check_model(pipeline.spec.model, family), *graph_problems]
    return pipeline, family, [*problems, *(p for p in further if p.path not in wrong)]


def _follows(path: PathKey, wrong: Collection[PathKey]) -> bool:
    """Whether it may be about something that is wrong itself: the cache belongs to the source, pods to `spec.pod`."""
    if path[:2] == ("spec", "model"):
        return ("spec", "model", "source") in wrong
    return "pod" in path and any(one[:2] == ("spec", "pod") for one in wrong)


def _check_kind(value: Mapping[str, object]) -> list[Problem]:
    """Nothing more can be said about an object of another kind or version."""
    kind = value.get("kind")
    if kind is None:
        return [Problem(("kind",), f"is required: {KIND}")]
    if kind != KIND:
        hint = meant(kind, [KIND]) if isinstance(kind, str) and get_close_matches(kind, [KIND]) else ""
        return [Problem(("kind",), f"found {shown(kind)}; only {KIND} objects belong here{hint}")]
    version = value.get("apiVersion")
    if version != API_VERSION:
        return [Problem(("apiVersion",), f"must be {API_VERSION}, got {shown(version)}")]
    return []


def _own_part(value: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: part for key, part in value.items() if key != "status"}
    metadata = own.get("metadata")
    if isinstance(metadata, Mapping):
        own["metadata"] = {key: part for key, part in metadata.items() if key not in _SERVER_METADATA}
    return own


def _without(value: dict[str, Any], paths: Iterable[PathKey]) -> dict[str, Any] | None:
    """The object without its wrong fields, for the rules that look at the whole; None when what is wrong may decide
    what the graph is."""
    rest = copy.deepcopy(value)
    sections = {path: section_for_clusters(path) for path in paths}
    for path in dict.fromkeys(section or path for path, section in sections.items()):
        key = path[-1]
        if path == _NAME and isinstance(rest["metadata"], dict):
            rest["metadata"]["name"] = "unnamed"
            continue
        in_graph = path not in sections.values()
        if isinstance(key, int) or (in_graph and get_close_matches(key, STRUCTURE, n=1)):
            return None  # a slip of the pen in `type` or `from` counts like a wrong one
        parent: Any = rest
        for part in path[:-1]:
            parent = parent[part]
        if key not in parent:
            return None
        del parent[key]
    return rest
