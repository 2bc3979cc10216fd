"""docs/api.md lists every route, field and error there is, and nothing else; and what it says of a field holds."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI
from tests.unit.gateway.pipelines import served

from omnipipe.gateway.errors import STATUS
from omnipipe.gateway.native.form_request import FIELDS
from omnipipe.gateway.native.prompt_request import PromptBody
from omnipipe.gateway.openai.chat_request import ChatCompletionRequest
from omnipipe.gateway.openai.completion_request import CompletionRequest
from omnipipe.gateway.openai.embedding_request import EmbeddingRequest
from omnipipe.gateway.openai.fields import CHAT_FIELDS, COMPLETION_FIELDS, PROMPT_FIELDS, SPEECH_FIELDS, FieldRules
from omnipipe.gateway.openai.speech_request import SpeechBody
from omnipipe.gateway.openai.tokens import DetokenizeBody, TokenizeBody
from omnipipe.gateway.openapi import describe
from omnipipe.gateway.routes import make_router
from omnipipe.gateway.served import Leaving, ModelTable

TEXT = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def rows(heading: str) -> dict[str, str]:
    """The table under a heading: what its first column has in backticks (or is) -> the rest of the row."""
    return names(TEXT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0])


def names(section: str) -> dict[str, str]:
    return {
        first.strip("`"): rest
        for first, rest in re.findall(r"^\| ([^|]+?) \| (.*) \|$", section, re.MULTILINE)
        if first not in ("field", "JSON field", "route", "status")
    }


COMMON = rows("Fields of every request to a pipeline")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", ChatCompletionRequest),
        ("/v1/completions", CompletionRequest),
        ("/v1/audio/speech", SpeechBody),
        ("/v1/embeddings", EmbeddingRequest),
        ("/tokenize", TokenizeBody),
        ("/detokenize", DetokenizeBody),
    ],
)
def test_every_field_is_in_its_table(path: str, body: type) -> None:
    assert {*rows(f"POST {path}"), *COMMON} == {field.name for field in msgspec.structs.fields(body)}


def test_every_field_of_the_native_route_is_in_its_tables() -> None:
    form, prompt = TEXT.split("\n## POST /generate\n", 1)[1].split("\n## ", 1)[0].split("A JSON body", 1)
    assert set(names(form)) == set(FIELDS)
    assert {*names(prompt), *COMMON} == {field.name for field in msgspec.structs.fields(PromptBody)}
    by_model = {name for name, effect in names(prompt).items() if effect.startswith("by model")}
    assert by_model == PROMPT_FIELDS.options


@pytest.mark.parametrize(
    ("path", "rules"),
    [
        ("/v1/chat/completions", CHAT_FIELDS),
        ("/v1/completions", COMPLETION_FIELDS),
        ("/v1/audio/speech", SPEECH_FIELDS),
    ],
)
def test_what_is_said_of_a_field_is_what_happens(path: str, rules: FieldRules) -> None:
    said = rows(f"POST {path}")
    by_model = {name for name, effect in said.items() if effect.startswith("by model")}
    assert by_model - {"n", "best_of"} == rules.options - {"suffix"}
    same_for_all = {name for name, effect in said.items() if effect.startswith(("no effect", "only", "400"))}
    assert same_for_all - {"suffix"} == rules.hints


def test_every_route_is_in_its_table() -> None:
    document = _document()
    known = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert set(rows("Routes")) == known


def test_every_error_is_in_its_table() -> None:
    told = {int(status): effect.split(" | ")[0].strip("`") for status, effect in rows("Errors").items()}
    assert told == {row.status: row.type for row in STATUS.values()}


async def scrape() -> bytes:
    return b""


def _document() -> dict[str, Any]:
    app = FastAPI()
    app.include_router(make_router(ModelTable([served()]), Leaving(), scrape, dict, started_s=0, grace_s=0))
    return describe(app, version="0", model="echo", needs_key=False)
