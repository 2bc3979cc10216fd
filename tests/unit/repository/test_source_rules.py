"""The rules of the house that a program can check: see CONTRIBUTING.md."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = sorted([*ROOT.glob("runtime/omnipipe/**/*.py"), *ROOT.glob("operator/omnipipe_operator/**/*.py")])
ALL_PYTHON = [*SOURCES, *(path for folder in ("tests", "bench", "scripts") for path in (ROOT / folder).rglob("*.py"))]
MAX_LINES = 500


def of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            names = ast.literal_eval(node.value)
            assert isinstance(names, list)
            return names
    return None


def defined(tree: ast.Module) -> set[str]:
    """Everything a module binds at its top, conditionals included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {alias.asname or alias.name for alias in aliases}
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
    return names


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", SOURCES, ids=of)
def test_all_names_what_is_there(path: Path) -> None:
    tree = tree_of(path)
    names = exported(tree) or []
    assert len(names) == len(set(names))
    assert not set(names) - defined(tree)


def test_modules_take_from_each_other_only_what_all_names() -> None:
    public = {module_name(path): set(exported(tree_of(path)) or []) for path in SOURCES}
    found = []
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and node.module in public:
                taken = {alias.name for alias in node.names if f"{node.module}.{alias.name}" not in public}
                found += [f"{of(path)}: {node.module}.{name}" for name in taken - public[node.module]]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", SOURCES, ids=of)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    tree = tree_of(path)
    assert not tree.body or ast.get_docstring(tree), f"{of(path)} has no docstring"


def test_no_file_is_too_long_to_read() -> None:
    lengths = {of(path): len(path.read_text().splitlines()) for path in ALL_PYTHON}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    found = [f"{of(path)}: {m.group()}" for path in SOURCES for m in marks.finditer(path.read_text())]
    assert found == []


def test_modules_are_nouns() -> None:
    vague = {"utils", "util", "common", "helpers", "helper", "misc", "base", "core"}
    assert [of(path) for path in SOURCES if vague & {path.stem, path.parent.name}] == []


def test_container_folders_are_no_packages() -> None:
    """A package called `operator` at the root would hide the standard library's."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert not (ROOT / "runtime" / "__init__.py").exists()
    assert not (ROOT / "__init__.py").exists()


def test_every_dependency_says_why_it_is_there() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    requirements = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    lines = text.splitlines()
    for requirement in requirements:
        line = next(line for line in lines if f'"{requirement}"' in line)
        assert re.search(r"\] ?#|, *# \S", line), f"{requirement}: no comment says why"


def test_constraints_are_names_and_versions_alone() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    odd = [line for line in lines if not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)]
    assert odd == []


def test_the_version_stands_in_two_places_and_is_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = re.search(r'__version__ = "(.+)"', (ROOT / "runtime/omnipipe/__init__.py").read_text())
    assert found is not None
    assert found.group(1) == project["version"]
