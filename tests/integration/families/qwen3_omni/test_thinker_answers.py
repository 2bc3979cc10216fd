"""The thinker's text is an llm's: constraints, log probabilities, limits; and what its prompt must bring."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.integration.families.omni_parts.duet import Heard, duet_of
from tests.integration.families.omni_parts.stages import context_of, job_of
from tests.integration.families.qwen3_omni.conversations import CONVERSATIONS, edge_values, model_inputs
from transformers import Qwen3OmniMoeForConditionalGeneration, Qwen3OmniMoeProcessor

from omnipipe.engines.autoregressive.program import End, Finish, Generation, Progress
from omnipipe.errors import ErrorKind
from omnipipe.families.omni_parts.tensors import to_torch
from omnipipe.families.omni_parts.thinker_prompt import prompt_parts
from omnipipe.families.qwen3_omni.graph import FAMILY
from omnipipe.families.qwen3_omni.talker import Talker
from omnipipe.families.qwen3_omni.thinker import Thinker
from omnipipe.wire.value import Value

pytestmark = pytest.mark.timeout(400)

Asked = dict[str, Value]


@pytest.fixture(scope="module")
def asked(omni_reference: Qwen3OmniMoeForConditionalGeneration, omni_processor: Qwen3OmniMoeProcessor) -> Asked:
    inputs = model_inputs(omni_processor, CONVERSATIONS["sounding"])
    return edge_values(omni_reference, inputs, "answers")


def answer(folder: Path, asked: Asked, **options: Any) -> Heard:
    prompt = {**asked["prompt"], "options": {"temperature": 0.0, "max_tokens": 10, **options}}
    with duet_of(folder, (Thinker, Talker)) as duet:
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


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
CALL = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'


@pytest.mark.parametrize(
    ("told", "spoken"),
    [
        ("Hi there", "Hi there"),
        (CALL, ""),
        (f"Hi there{CALL}", "Hi there"),
        (f"{CALL}\n{CALL}", ""),
        ("Hi <tool_box>", "Hi <tool_box>"),
        ("Hi <tool_", "Hi <tool_"),
    ],
)
def test_calls_are_not_spoken(told: str, spoken: str, omni_folder: Path, asked: Asked) -> None:
    """Nobody wants to hear JSON; what is said before it, or only begins like it, is heard."""
    thinker = Thinker(context_of(FAMILY, omni_folder, "thinker"))
    thinker.load("float32")
    assert thinker.tokenizer is not None
    prompt = {**asked["prompt"], "options": {"tools": TOOLS}}
    job = job_of("a", {**asked, "prompt": prompt}, ["text", "speech"])
    generation = thinker.begin(job, 4096)
    assert isinstance(generation, Generation)
    size = sum(map(len, generation.prompt))
    first = Progress([], hidden={layer: torch.zeros(size, 64) for layer in thinker.hidden_layers})
    turns = [thinker.advance(job, first)]
    tokens = thinker.tokenizer(told)["input_ids"]
    for token in tokens:
        progress = Progress([token])
        thinker.tokens([(job, progress)])
        turns.append(thinker.advance(job, progress))
    last = thinker.finish(job, End(Finish.STOP, size, len(tokens), 0))
    emits = [emit for turn in turns for emit in turn.emits] + list(last)
    rows = [to_torch(emit.value["text"]) for emit in emits if emit.port == "speech" and "text" in emit.value]
    model: Any = thinker.load("float32")
    heard = model.get_input_embeddings()(torch.tensor(thinker.tokenizer(spoken)["input_ids"], dtype=torch.long))
    assert torch.equal(torch.cat([torch.empty(0, 64), *rows]), heard)


def test_a_call_that_is_asked_for_has_no_sound(omni_folder: Path, asked: Asked) -> None:
    options = {"temperature": 0.0, "max_tokens": 200, "guided_regex": re.escape(CALL), "tools": TOOLS}
    with duet_of(omni_folder, (Thinker, Talker)) as duet:
        heard = duet.ask("a", {**asked, "prompt": {**asked["prompt"], "options": options}})
        duet.run()
        duet.check_idle()
    assert heard.error is None and heard.codes_ended
    assert heard.meta is not None and heard.meta["finish_reason"] == "tool_calls"
    assert (heard.text, heard.codes) == ("", [])


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
