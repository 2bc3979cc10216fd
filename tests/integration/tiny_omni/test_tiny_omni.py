"""builtin://tiny-omni does what its card (docs/models.md) says, by transformers' own generate, on questions that its
training never saw. Thresholds are well below the measured figures: other versions of torch round otherwise."""

import random
from itertools import islice
from typing import Any

import pytest
from tools.tiny_omni.batching import make_processor, messages
from tools.tiny_omni.evaluate import OmniModel, measure_echo, measure_speech, measure_text
from tools.tiny_omni.questions import questions
from tools.tiny_omni.shape import CODEC_EOS
from tools.tiny_omni.tones import VOICES, decode, spoken

from omnipipe.weights import resolve

pytestmark = [
    pytest.mark.timeout(400),  # a waveform takes its time, code by code
    pytest.mark.filterwarnings("ignore:Passing `repetition_penalty` with `inputs_embeds`:UserWarning"),
]


@pytest.fixture(scope="module")
def tiny_omni() -> OmniModel:
    return OmniModel(resolve("builtin://tiny-omni"))


@pytest.mark.parametrize(
    ("task", "least"),
    [
        ("picture", 0.9),
        ("digits", 0.85),
        ("flashes", 0.9),
        ("add", 0.9),
        ("count", 0.9),
        ("chat", 0.9),
        ("unknown", 0.9),
    ],
)
def test_unseen_questions_are_answered(tiny_omni: OmniModel, task: str, least: float) -> None:
    share, wrong = measure_text(tiny_omni, task, count=40, seed=11)
    assert share >= least, [(one.key, one.answer, text) for one, text in wrong[:5]]


def test_speech_is_read_back_as_the_text(tiny_omni: OmniModel) -> None:
    share, wrong = measure_speech(tiny_omni, count=7, seed=11)
    assert share >= 0.85, wrong


def test_it_understands_itself(tiny_omni: OmniModel) -> None:
    share, wrong = measure_echo(tiny_omni, count=4, seed=11)
    assert share >= 0.6, wrong


def test_every_voice_says_the_same_with_another_sound(tiny_omni: OmniModel) -> None:
    (asked,) = islice(questions(random.Random(3), "chat", held=True), 1)
    said = {voice: tiny_omni.speak(asked, voice) for voice in VOICES}
    assert len({text for text, _ in said.values()}) == 1
    for text, wave in said.values():
        assert decode(wave) == spoken(text)
    assert len({wave.tobytes() for _, wave in said.values()}) == len(VOICES)


def test_the_shipped_files_are_those_of_the_recipe(tiny_omni: OmniModel) -> None:
    shipped: Any = tiny_omni.processor
    recipe: Any = make_processor()
    (asked,) = islice(questions(random.Random(1), "picture"), 1)
    texts = [each.apply_chat_template(messages(asked), tokenize=False) for each in (shipped, recipe)]
    assert texts[0] == texts[1]
    assert shipped.tokenizer.encode(texts[0]) == recipe.tokenizer.encode(texts[1])
    assert tiny_omni.model.config.talker_config.codec_eos_token_id == CODEC_EOS
