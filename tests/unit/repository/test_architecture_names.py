"""docs/architecture.md follows a request by file and name: each of them must be there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_DOC = (_ROOT / "docs/architecture.md").read_text()
_NAMED = sorted(set(re.findall(r"`([\w/]+\.py):\s+([\w.]+)`", _DOC)))
_FILES = sorted(set(re.findall(r"`([\w/]+/[\w/]+\.py)\b", _DOC)))


@cache
def _names(path: str) -> frozenset[str]:
    found = set()
    for node in ast.parse((_ROOT / "runtime/omnipipe" / path).read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.add(f"{node.name}.{inner.name}")
    return frozenset(found)


def test_the_document_follows_a_request() -> None:
    assert len(_NAMED) > 20


@pytest.mark.parametrize(("path", "name"), _NAMED)
def test_a_name_in_the_document_is_in_the_code(path: str, name: str) -> None:
    assert name in _names(path)


@pytest.mark.parametrize("path", _FILES)
def test_a_file_in_the_document_is_there(path: str) -> None:
    assert (_ROOT / "runtime/omnipipe" / path).is_file()
