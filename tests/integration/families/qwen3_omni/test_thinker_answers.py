"""The thinker's text is an llm's: constraints, log probabilities, limits; and what its prompt must bring."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.families.qwen3_omni.conversations import CONVERSATIONS, edge_values, model_inputs
from tests.integration.families.qwen3_omni.duet import Heard, duet_of
from transformers import Qwen3OmniMoeForConditionalGeneration, Qwen3OmniMoeProcessor

from omnipipe.errors import ErrorKind
from omnipipe.families.qwen3_omni.thinker_prompt import prompt_parts
from omnipipe.wire.value import Value

pytestmark = pytest.mark.timeout(180)

Asked = dict[str, Value]


@pytest.fixture(scope="module")
def asked(omni_reference: Qwen3OmniMoeForConditionalGeneration, omni_processor: Qwen3OmniMoeProcessor) -> Asked:
    inputs = model_inputs(omni_processor, CONVERSATIONS["sounding"])
    return edge_values(omni_reference, inputs, "answers")


def answer(folder: Path, asked: Asked, **options: Any) -> Heard:
    prompt = {**asked["prompt"], "options": {"temperature": 0.0, "max_tokens": 10, **options}}
    with duet_of(folder) as duet:
        heard = duet.ask("a", {**asked, "prompt": prompt}, spoken=False)
        duet.run()
        duet.check_idle()
        return heard


def test_a_schema_holds(omni_folder: Path, asked: Asked) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2, 3]}}, "required": ["n"]}
    shape = {"type": "json_schema", "json_schema": {"name": "n", "schema": {**schema, "additionalProperties": False}}}
    heard = answer(omni_folder, asked, response_format=shape, max_tokens=60)
    assert json.loads(heard.text)["n"] in (1, 2, 3)


def test_log_probabilities_come_with_the_text(omni_folder: Path, asked: Asked) -> None:
    heard = answer(omni_folder, asked, logprobs=True, top_logprobs=2)
    plain = answer(omni_folder, asked)
    assert heard.text == plain.text
    assert len(heard.logprobs) == 10
    assert all(piece["logprob"] == piece["top"][0]["logprob"] for piece in heard.logprobs), "the likeliest was taken"


def test_a_prompt_that_leaves_no_room_is_refused(omni_folder: Path, asked: Asked) -> None:
    heard = answer(omni_folder, asked, max_tokens=5000)
    assert heard.error is not None
    assert heard.error.kind is ErrorKind.INVALID
    assert heard.error.code == "context_length_exceeded"


def test_embeddings_that_are_missing_end_the_request_alone(omni_folder: Path, asked: Asked) -> None:
    heard = answer(omni_folder, {name: value for name, value in asked.items() if name != "audio"})
    assert heard.error is not None
    assert heard.error.kind is ErrorKind.INTERNAL


def test_parts_of_one_item_have_names_of_their_own(asked: Asked) -> None:
    """Sound and pictures of one video alternate; each run is other rows of its item."""
    prompt = asked["prompt"]
    parts = prompt_parts(prompt, prompt["tokens"].numpy().tolist(), [asked["audio"], asked["vision"]])
    media = [part for part in parts if part.embeds is not None]
    assert len(media) == len(prompt["spans"]) == 3
    assert len({part.key for part in media}) == len(media)
    assert sum(map(len, parts)) == prompt["tokens"].shape[0]
    assert {len(part.deep) for part in media} == {0, 2}
