"""Thinker and talker say what transformers' generate says, greedily, alone and together, whatever the engines do.

What the encoders make comes from transformers' own modules here; the stages before and behind have tests of their own.
"""

import logging
import random
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.families.omni_parts.duet import Duet, Heard, duet_of
from tests.integration.families.qwen3_omni.conversations import (
    CONVERSATIONS,
    Expected,
    edge_values,
    expected_of,
    model_inputs,
)
from transformers import Qwen3OmniMoeForConditionalGeneration, Qwen3OmniMoeProcessor

from omnipipe.engines.engine import Pause, Resume
from omnipipe.engines.kernels.native import NativeKernels
from omnipipe.families.qwen3_omni.talker import Talker
from omnipipe.families.qwen3_omni.thinker import Thinker
from omnipipe.wire.value import Value

TEXT, CODES = 20, 30
PENALTIES = (1.0, 1.05)
BUILD_S = 240.0
LONGEST = 460
"""Positions that a sequence of these takes at most."""


@dataclass
class Case:
    values: dict[str, Value]
    expected: dict[float, Expected]
    """By the talker's repetition penalty."""

    def asked(self, penalty: float) -> dict[str, Value]:
        prompt = self.values["prompt"]
        spoken = prompt["speech"]
        options = {**spoken["options"], "repetition_penalty": penalty, "max_new_tokens": CODES}
        return {**self.values, "prompt": {**prompt, "speech": {**spoken, "options": options}}}


@dataclass
class Cases:
    folder: Path
    decode: Callable[[list[int]], str]
    named: dict[str, Case]

    def ask(self, duet: Duet, name: str, penalty: float = 1.0, rid: str = "") -> Heard:
        return duet.ask(rid or name, self.named[name].asked(penalty))

    def agree(self, name: str, heard: Heard, penalty: float = 1.0) -> None:
        expected = self.named[name].expected[penalty]
        assert heard.error is None
        assert heard.text == self.decode(expected.text), name
        assert heard.meta is not None
        assert heard.meta["usage"]["completion_tokens"] == len(expected.text)
        assert heard.codes == expected.codes, name
        assert heard.codes_ended


@pytest.fixture(scope="module")
def cases(
    omni_folder: Path, omni_reference: Qwen3OmniMoeForConditionalGeneration, omni_processor: Qwen3OmniMoeProcessor
) -> Cases:
    named = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # generate's own, about its own arguments
        for name, talk in CONVERSATIONS.items():
            inputs = model_inputs(omni_processor, talk)
            expected = {
                penalty: expected_of(omni_reference, inputs, text=TEXT, codes=CODES, penalty=penalty)
                for penalty in PENALTIES
            }
            values = edge_values(omni_reference, inputs, name)
            values["prompt"]["options"] = {"max_tokens": TEXT, "temperature": 0.0}
            named[name] = Case(values, expected)
    tokenizer: Any = omni_processor.tokenizer
    return Cases(omni_folder, lambda tokens: tokenizer.decode(tokens, skip_special_tokens=True), named)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_one_after_the_other(cases: Cases, penalty: float) -> None:
    with duet_of(cases.folder, (Thinker, Talker)) as duet:
        for name in cases.named:
            heard = cases.ask(duet, name, penalty)
            duet.run()
            cases.agree(name, heard, penalty)
        duet.check_idle()


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("step_tokens", [17, 1024])
def test_all_at_once(cases: Cases, penalty: float, step_tokens: int) -> None:
    options = {"step_tokens": step_tokens}
    with duet_of(cases.folder, (Thinker, Talker), thinker=options, talker=options) as duet:
        asked = {name: cases.ask(duet, name, penalty) for name in cases.named}
        duet.run()
        for name, heard in asked.items():
            cases.agree(name, heard, penalty)
        duet.check_idle()


@pytest.mark.parametrize("step_tokens", [17, 1024])
def test_in_the_kernel(cases: Cases, step_tokens: int, caplog: pytest.LogCaptureFixture) -> None:
    """Experts and all, with images among the text and hidden states that the talker needs."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ on this machine")
    kernel = NativeKernels()
    kernel.start()
    assert kernel.wait(BUILD_S)
    options = {"step_tokens": step_tokens}
    caplog.set_level(logging.INFO)
    with duet_of(cases.folder, (Thinker, Talker), thinker=options, talker=options, kernel=kernel) as duet:
        for stage in ("thinker", "talker"):
            assert f"stage {stage}: 2 of 2 layers run in the kernel, 2 with experts" in caplog.text
        asked = {name: cases.ask(duet, name) for name in cases.named}
        duet.run()
        for name, heard in asked.items():
            cases.agree(name, heard)
        duet.check_idle()


def test_where_memory_is_short(cases: Cases) -> None:
    """Room for the longest and a little: those behind it give theirs up and are computed again."""
    memory = {"max_context": LONGEST + TEXT + CODES, "prefix_cache": False}
    thinker = {**memory, "kv_bytes": 34 * 16 * 512}
    talker = {**memory, "kv_bytes": 32 * 16 * 512}
    with duet_of(cases.folder, (Thinker, Talker), thinker=thinker, talker=talker) as duet:
        asked = {name: cases.ask(duet, name, 1.05) for name in cases.named}
        again = {name: cases.ask(duet, name, 1.05, f"{name} again") for name in cases.named}
        duet.run()
        assert duet.thinker.scheduler.preemptions > 0
        assert duet.talker.scheduler.preemptions > 0
        for name in cases.named:
            cases.agree(name, asked[name], 1.05)
            cases.agree(name, again[name], 1.05)
        duet.check_idle()


def test_in_a_crowd_that_comes_and_goes(cases: Cases) -> None:
    """Requests arrive, are dropped, paused and resumed in between, and memory is short."""
    dice = random.Random(5)
    memory = {"max_context": LONGEST + TEXT + CODES, "step_tokens": 128}
    thinker, talker = {**memory, "kv_bytes": 60 * 16 * 512}, {**memory, "kv_bytes": 40 * 16 * 512}
    with duet_of(cases.folder, (Thinker, Talker), thinker=thinker, talker=talker) as duet:
        asked: dict[str, tuple[str, Heard]] = {}
        dropped: set[str] = set()
        for number in range(45):
            name = dice.choice(list(cases.named))
            rid = f"{name} {number}"
            asked[rid] = name, cases.ask(duet, name, 1.05, rid)
            for _ in range(dice.randrange(4)):
                duet.step_thinker()
                duet.step_talker()
            other = dice.choice(list(asked))
            if dice.random() < 0.2:
                dropped.add(other)
                duet.drop(other)
            for engine in (duet.thinker, duet.talker):
                engine.offer(dice.choice((Pause, Resume))(dice.choice(list(asked))))
        for engine in (duet.thinker, duet.talker):
            for rid in asked:
                engine.offer(Resume(rid))
        duet.run()
        assert duet.talker.scheduler.preemptions > 0
        for rid, (name, heard) in asked.items():
            if rid not in dropped:
                cases.agree(name, heard, 1.05)
        duet.check_idle()


@pytest.mark.parametrize("talker_steps", [0, 1, 3])
def test_at_whatever_pace_the_text_comes(cases: Cases, talker_steps: int) -> None:
    """The talker waits for text, or text for the talker. 0: all of the text comes before the talker begins."""
    with duet_of(cases.folder, (Thinker, Talker)) as duet:
        asked = {name: cases.ask(duet, name) for name in ("long", "mixed", "audio")}
        while duet.step_thinker():
            for _ in range(talker_steps):
                duet.step_talker()
        duet.run()
        for name, heard in asked.items():
            cases.agree(name, heard)


def test_media_that_come_again_are_not_computed_again(cases: Cases) -> None:
    """Without speech, for whose sake hidden states of media are computed anew."""
    with duet_of(cases.folder, (Thinker, Talker)) as duet:
        for name in ("image", "sounding"):
            values = {**cases.named[name].values}
            values["prompt"] = {key: value for key, value in values["prompt"].items() if key != "speech"}
            cached = []
            for turn in ("first", "again"):
                heard = duet.ask(f"{name} {turn}", values, spoken=False)
                duet.run()
                assert heard.text == cases.decode(cases.named[name].expected[1.0].text)
                assert heard.meta is not None
                cached.append(heard.meta["usage"]["cached_tokens"])
            size = values["prompt"]["tokens"].shape[0]
            assert cached == [0, (size - 1) // 16 * 16]


def test_media_of_another_make_up_are_not_taken_for_the_same(cases: Cases) -> None:
    """The same tokens with other embeddings, or at other positions, share nothing from there on."""
    values = cases.named["image"].values
    prompt = {key: value for key, value in values["prompt"].items() if key != "speech"}
    other_item = {**prompt, "items": [{**prompt["items"][0], "key": b"another"}]}
    elsewhere = {key: value for key, value in prompt.items() if key != "positions"}
    with duet_of(cases.folder, (Thinker, Talker)) as duet:
        for rid, asked in (("one", prompt), ("item", other_item), ("place", elsewhere)):
            heard = duet.ask(rid, {**values, "prompt": asked}, spoken=False)
            duet.run()
            assert heard.meta is not None
            assert heard.meta["usage"]["cached_tokens"] == 0


def test_speech_begins_before_the_text_ends(cases: Cases) -> None:
    with duet_of(cases.folder, (Thinker, Talker)) as duet:
        heard = cases.ask(duet, "long")
        duet.run()
        assert heard.order.index("codes") <= 3, "text, perhaps more text, and a frame"
        assert heard.order.count("codes") == 5, "1, 2, 4 and 8 frames together, and the rest"
        assert len(heard.codes) == 20
