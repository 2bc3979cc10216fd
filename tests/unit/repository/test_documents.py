"""What README and docs show is right: manifests compile, commands and targets exist, links lead somewhere."""

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from omnipipe.cli.parser import parse
from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.reader import read_pipelines

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, *languages: str) -> list[str]:
    return [body for language, body in FENCE.findall(path.read_text()) if language in languages]


def commands(path: Path) -> list[list[str]]:
    """The words of what is typed in console blocks (`$ ...`, continued with a backslash) and shell blocks."""
    found = []
    for language, body in FENCE.findall(path.read_text()):
        if language not in ("console", "sh", "bash", "shell"):
            continue
        for line in body.replace("\\\n", " ").splitlines():
            typed = line[2:] if language == "console" and line.startswith("$ ") else line
            if (language != "console" or line.startswith("$ ")) and typed.strip():
                found.append(shlex.split(typed, comments=True))
    return [words for words in found if words]


@pytest.mark.parametrize("path", DOCUMENTS, ids=of)
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=of)
def test_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    mentioned = set(re.findall(r"`make ([a-z0-9-]+)", path.read_text()))
    mentioned |= {words[1] for words in commands(path) if words[0] == "make" and len(words) > 1}
    assert mentioned <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=of)
def test_omnipipe_commands_parse_and_their_files_exist(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands(path):
        if words[0] == "omnipipe":
            try:
                parse(words[1:])
            except SystemExit as exit:
                assert exit.code == 0, f"{' '.join(words)}: {capsys.readouterr().err}"
            examples = [word for word in words if word.startswith("examples/")]
            assert [example for example in examples if not (ROOT / example).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=of)
def test_bodies_sent_with_curl_are_json(path: Path) -> None:
    for words in commands(path):
        if words[0] == "curl":
            for flag, value in pairwise(words):
                if flag in ("-d", "--data", "--json") and not value.startswith(("@", "...")):
                    json.loads(value)


@pytest.mark.parametrize("path", DOCUMENTS, ids=of)
def test_manifests_compile(path: Path) -> None:
    for body in blocks(path, "yaml", "yml"):
        if "kind: OmniPipeline" in body:
            read_pipelines(body, of(path), find_family, family_names())
