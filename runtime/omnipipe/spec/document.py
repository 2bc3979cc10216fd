"""YAML text -> plain objects, with the line of every node, so that a finding can say where.

Nothing of YAML is constructed but mappings, lists and scalars as JSON has them: no tags, no dates, no octal by
accident. Bounded in size, depth and what aliases expand to. What is wrong with the text comes back as findings.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from yaml.composer import Composer
from yaml.error import Mark, MarkedYAMLError, YAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from omnipipe.spec.errors import Finding, PathKey, dotted
from omnipipe.spec.suggest import kind_of

__all__ = ["MAX_BYTES", "Document", "Lines", "read_documents"]

MAX_BYTES: Final = 128 << 10
"""Of a file; a large pipeline has a few kilobytes, and reading this much takes about a second."""
_MAX_DEPTH: Final = 40
_MAX_NODES: Final = 20_000
"""In one document, with every alias written out."""

_TAG: Final = "tag:yaml.org,2002:"


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML without its constructor, with the scalars of YAML 1.2 and the yes/no of 1.1 that `kubectl` knows too."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        self._depth += 1
        try:
            if self._depth > _MAX_DEPTH:
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                raise MarkedYAMLError(problem=f"nested more than {_MAX_DEPTH} deep", problem_mark=mark)
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _teach(name: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(_TAG + name, re.compile(pattern), list(first))


_BOOL: Final = r"^(?:true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$"
_INT: Final = r"^[-+]?(?:0|[1-9][0-9]{0,17}|0x[0-9a-fA-F]{1,15}|0o[0-7]{1,20})$"
_FLOAT: Final = r"^[-+]?(?:\.[0-9]{1,30}|(?:0|[1-9][0-9]{0,40})(?:\.[0-9]{0,30})?)(?:[eE][-+]?[0-9]{1,3})?$"


@dataclass(frozen=True, slots=True)
class Lines:
    """The line on which each part of a document begins."""

    known: dict[PathKey, int]

    def at(self, path: PathKey) -> int:
        """Of the part itself, or of the nearest one around it for a part that is not there."""
        while path not in self.known:
            path = path[:-1]
        return self.known[path]


@dataclass(frozen=True, slots=True)
class Document:
    value: dict[str, object]
    lines: Lines

    @property
    def line(self) -> int:
        return self.lines.known[()]


def read_documents(text: str | bytes, file: str) -> tuple[list[Document], list[Finding]]:
    """The mappings in the file, and what is wrong with its text. Empty documents count for nothing."""
    if len(text) > MAX_BYTES:
        return [], [Finding("", 1, f"is too large: {len(text)} bytes, a manifest has at most {MAX_BYTES}", file)]
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return [], [Finding("", error.object.count(b"\n", 0, error.start) + 1, "is not UTF-8 text", file)]
    documents: list[Document] = []
    findings: list[Finding] = []
    try:
        for root in _roots(text):
            _read_root(root, file, documents, findings)
    except YAMLError as error:
        findings.append(_syntax(error, text, file))
    if not documents and not findings:
        findings.append(Finding("", 1, "holds no OmniPipeline: the file is empty", file))
    return documents, findings


def _roots(text: str) -> Iterator[Node]:
    loader = _Loader(text)
    while loader.check_node():
        root = loader.get_node()
        if root is not None and not (isinstance(root, ScalarNode) and root.tag == _TAG + "null"):
            yield root


def _read_root(root: Node, file: str, documents: list[Document], findings: list[Finding]) -> None:
    builder = _Builder()
    try:
        value = builder.build(root, ())
    except _Unusable as error:
        findings.append(Finding("", error.line, str(error), file))
        return
    findings += [Finding(dotted(path), line, message, file) for path, line, message in builder.wrong]
    if isinstance(value, dict):
        documents.append(Document(value, Lines(builder.lines)))
    else:
        line = root.start_mark.line + 1
        message = f"must be a mapping with apiVersion, kind, metadata and spec, got {kind_of(value)}"
        findings.append(Finding("", line, message, file))


class _Unusable(Exception):
    """Nothing can be made of this document."""

    def __init__(self, mark: Mark, message: str) -> None:
        super().__init__(message)
        self.line = mark.line + 1


@dataclass(slots=True)
class _Builder:
    lines: dict[PathKey, int] = field(default_factory=dict)
    wrong: list[tuple[PathKey, int, str]] = field(default_factory=list)
    _open: set[int] = field(default_factory=set)
    _count: int = 0

    def build(self, node: Node, path: PathKey, line: int | None = None) -> object:
        self._count += 1
        if self._count > _MAX_NODES:
            raise _Unusable(node.start_mark, f"holds more than {_MAX_NODES} values, counting each use of an alias")
        if id(node) in self._open:
            raise _Unusable(node.start_mark, "an alias here refers to what it is part of")
        self.lines[path] = node.start_mark.line + 1 if line is None else line
        self._open.add(id(node))
        try:
            match node:
                case MappingNode(tag="tag:yaml.org,2002:map"):
                    return self._mapping(node, path)
                case SequenceNode(tag="tag:yaml.org,2002:seq"):
                    return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
                case ScalarNode():
                    return self._scalar(node, path)
                case _:
                    self._say(path, node, f"the tag {_short(node.tag)} is not allowed")
                    return None
        finally:
            self._open.discard(id(node))

    def _say(self, path: PathKey, node: Node, message: str) -> None:
        self.wrong.append((path, node.start_mark.line + 1, message))

    def _mapping(self, node: MappingNode, path: PathKey) -> dict[str, object]:
        result: dict[str, object] = {}
        own: dict[str, int] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                merged += value_node.value if isinstance(value_node, SequenceNode) else [value_node]
                continue
            key, line = self._key(key_node, path), key_node.start_mark.line + 1
            if key is None:
                continue
            if key in own:
                self._say((*path, key), key_node, f"is given twice, first on line {own[key]}")
                continue
            own[key] = line
            result[key] = self.build(value_node, (*path, key), line)
        for source in merged:
            self._merge(source, path, result)
        return result

    def _merge(self, source: Node, path: PathKey, result: dict[str, object]) -> None:
        """`<<: *anchor`: what the mapping does not say itself. The earlier of several sources wins."""
        if not isinstance(source, MappingNode):
            self._say(path, source, "<< takes a mapping, or a list of mappings")
            return
        for key_node, value_node in source.value:
            key = self._key(key_node, path)
            if key is not None and key not in result:
                result[key] = self.build(value_node, (*path, key), key_node.start_mark.line + 1)

    def _key(self, node: Node, path: PathKey) -> str | None:
        if isinstance(node, ScalarNode) and node.tag == _TAG + "str":
            return str(node.value)
        what = f"{node.value} (write it in quotes)" if isinstance(node, ScalarNode) else kind_of(node.value)
        self._say(path, node, f"a key must be a string, got {what}")
        return None

    def _scalar(self, node: ScalarNode, path: PathKey) -> object:
        text = str(node.value)
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool" if re.match(_BOOL, text):
                return text.lower() in ("true", "yes", "on")
            case "int" if re.match(_INT, text):
                return int(text, 0)
            case "float" if re.match(_FLOAT, text):
                number = float(text)
                return number if math.isfinite(number) else text
            case "str":
                return text
            case "bool" | "int" | "float":
                self._say(path, node, f"{_short(node.tag)} cannot be {text[:60]!r}")
            case _:
                self._say(path, node, f"the tag {_short(node.tag)} is not allowed")
        return text


def _short(tag: str | None) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag and tag.startswith(_TAG) else str(tag)


def _syntax(error: YAMLError, text: str, file: str) -> Finding:
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return Finding("", line, "holds a control character that YAML does not allow", file)
    problem = str(getattr(error, "problem", None) or error)
    marks = [getattr(error, "problem_mark", None), getattr(error, "context_mark", None)]
    if "end of stream" in problem:
        marks.reverse()  # the end of the file helps nobody: where did it begin?
    line = next((mark.line + 1 for mark in marks if mark is not None), 1)
    for sign, words in _PLAINER.items():
        if sign in problem:
            return Finding("", line, f"is not valid YAML here: {words}", file)
    return Finding("", line, f"is not valid YAML here: {problem}", file)


_PLAINER: Final = {
    r"'\t'": "a tab; indent with spaces",
    "mapping values are not allowed": "an unexpected ':'; check the indentation, or quote the text that holds it",
    "could not find expected ':'": "a key without its ':'",
    "expected <block end>": "this line is indented differently from the ones it belongs to",
    "undefined alias": "an alias (*name) without its anchor (&name)",
    "found unexpected end of stream": "a quoted text that never ends",
}
"""What PyYAML says -> what a person can act on."""

_teach("bool", _BOOL, "tTfFyYnNoO")
_teach("int", _INT, "-+0123456789")
_teach("float", _FLOAT, "-+0123456789.")
_teach("null", r"^(?:~|null|Null|NULL|)$", "~nN")
_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"^$"), [""])
_teach("merge", r"^<<$", "<")
