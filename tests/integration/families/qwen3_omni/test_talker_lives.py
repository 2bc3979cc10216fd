"""What becomes of a spoken answer: seeds, voices, what is not spoken, and what is left behind."""

import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.integration.families.omni_parts.duet import Duet, duet_of
from tests.integration.families.qwen3_omni.conversations import Talk, edge_values, expected_of, model_inputs
from tests.integration.families.qwen3_omni.tiny_model import GROUPS
from transformers import Qwen3OmniMoeForConditionalGeneration, Qwen3OmniMoeProcessor

from omnipipe.engines.engine import Begin, Drop, Pause, Resume
from omnipipe.errors import ErrorKind
from omnipipe.families.omni_parts.tensors import from_torch, to_torch
from omnipipe.families.qwen3_omni.talker import Talker
from omnipipe.families.qwen3_omni.thinker import Thinker
from omnipipe.wire.value import Value

pytestmark = pytest.mark.timeout(400)

TEXT, CODES = 12, 20


class Asker:
    """One question, asked in many ways."""

    def __init__(
        self, folder: Path, reference: Qwen3OmniMoeForConditionalGeneration, processor: Qwen3OmniMoeProcessor
    ) -> None:
        self.folder = folder
        inputs = model_inputs(processor, Talk("What do you hear? Describe the video."))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # generate's own, about its own arguments
            self.expected = expected_of(reference, inputs, text=TEXT, codes=CODES, penalty=1.05)
        self._values = edge_values(reference, inputs, "lives")
        self.tokens: list[int] = inputs["input_ids"][0].tolist()
        tokenizer: Any = processor.tokenizer
        self.text = str(tokenizer.decode(self.expected.text, skip_special_tokens=True))

    def values(self, *, talker: dict[str, Value] | None = None, **changes: Value) -> dict[str, Value]:
        """`talker`: over greedy options; the rest over the thinker's, or over the prompt's own fields."""
        prompt = dict(self._values["prompt"])
        prompt["options"] = {"max_tokens": TEXT, "temperature": 0.0}
        speech = {**prompt["speech"], "options": {"do_sample": False, "max_new_tokens": CODES, **(talker or {})}}
        for name in ("voice",):
            if name in changes:
                speech[name] = changes.pop(name)
        prompt["speech"] = speech
        for name in ("tokens", "verbatim"):
            if name in changes:
                prompt[name] = changes.pop(name)
        prompt["options"].update(changes)
        return {"prompt": prompt}


@pytest.fixture(scope="module")
def asker(
    omni_folder: Path, omni_reference: Qwen3OmniMoeForConditionalGeneration, omni_processor: Qwen3OmniMoeProcessor
) -> Asker:
    return Asker(omni_folder, omni_reference, omni_processor)


def codes_of(duet: Duet, rid: str, values: dict[str, Value]) -> list[list[int]]:
    heard = duet.ask(rid, values)
    duet.run()
    assert heard.error is None
    return heard.codes


def test_a_seed_says_the_same_alone_and_in_company(asker: Asker) -> None:
    drawn: dict[str, Value] = {"do_sample": True, "temperature": 1.5}
    with duet_of(asker.folder, (Thinker, Talker)) as duet:
        alone = [codes_of(duet, str(seed), asker.values(talker={**drawn, "seed": seed})) for seed in range(3)]
    assert alone[0] != alone[1] != alone[2] != alone[0]
    with duet_of(asker.folder, (Thinker, Talker)) as duet:
        together = [duet.ask(str(seed), asker.values(talker={**drawn, "seed": seed})) for seed in range(3)]
        greedy = duet.ask("greedy", asker.values(talker={"repetition_penalty": 1.05}))
        unseeded = [duet.ask(name, asker.values(talker=drawn)) for name in ("one", "other")]
        duet.run()
    assert [heard.codes for heard in together] == alone
    assert greedy.codes == asker.expected.codes
    assert unseeded[0].codes != unseeded[1].codes


def test_of_one_candidate_the_likeliest_is_left(asker: Asker) -> None:
    with duet_of(asker.folder, (Thinker, Talker)) as duet:
        one = codes_of(duet, "a", asker.values(talker={"do_sample": True, "top_k": 1, "repetition_penalty": 1.0}))
        greedy = codes_of(duet, "b", asker.values(talker={"repetition_penalty": 1.0}))
    assert one[0][0] == greedy[0][0]


def test_voices_differ_and_an_unknown_one_is_refused(asker: Asker) -> None:
    with duet_of(asker.folder, (Thinker, Talker)) as duet:
        ethan, default, aiden = (
            codes_of(duet, name, asker.values(voice=voice))
            for name, voice in (("a", "Ethan"), ("b", ""), ("c", "aiden"))
        )
        assert ethan == default != aiden
        heard = duet.ask("d", asker.values(voice="nobody"))
        duet.run()
        assert heard.error is not None
        assert heard.error.kind is ErrorKind.INVALID
        assert "aiden, chelsie, ethan" in heard.error.message
        assert heard.text == asker.text, "the text has nothing to do with it"
        duet.check_idle()


def test_a_given_text_is_spoken_as_it_stands(asker: Asker) -> None:
    """generate hears an answer that ended for its length but for its last token."""
    tokens = asker.tokens + asker.expected.text[:-1]
    values = asker.values(
        talker={"repetition_penalty": 1.05}, tokens=from_torch(torch.tensor(tokens).int()), verbatim=True
    )
    with duet_of(asker.folder, (Thinker, Talker)) as duet:
        heard = duet.ask("a", values)
        duet.run()
        assert heard.codes == asker.expected.codes
        assert heard.text == ""
        assert heard.meta == {
            "finish_reason": "stop",
            "usage": {"prompt_tokens": len(tokens), "completion_tokens": 0, "cached_tokens": 0},
        }
        assert duet.thinker.load().steps == 0


@pytest.mark.parametrize("how", ["stop token at once", "one token", "no text given"])
def test_nothing_to_say_is_no_error(asker: Asker, how: str) -> None:
    match how:
        case "stop token at once":
            values = asker.values(stop_token_ids=[asker.expected.text[0]])
        case "one token":
            values = asker.values(max_tokens=1)
        case _:
            values = asker.values(verbatim=True)
    with duet_of(asker.folder, (Thinker, Talker)) as duet:
        heard = duet.ask("a", values)
        duet.run()
        assert heard.error is None
        assert heard.codes_ended
        assert heard.codes == []
        duet.check_idle()


def test_a_stop_string_is_not_spoken(asker: Asker) -> None:
    """Nor what had been held back for it may begin one."""
    at = next(at for at in range(2, len(asker.text) - 3) if asker.text.index(asker.text[at : at + 3]) == at)
    with duet_of(asker.folder, (Thinker, Talker)) as duet:
        whole, cut = duet.ask("a", asker.values()), duet.ask("b", asker.values(stop=[asker.text[at : at + 3]]))
        duet.run()
        assert cut.text == asker.text[:at]
        assert cut.meta is not None
        assert cut.meta["stop_reason"] == asker.text[at : at + 3]
        said, heard = (
            torch.cat([to_torch(chunk["text"]) for chunk in one.speech if "text" in chunk]) for one in (whole, cut)
        )
        assert 0 < len(heard) < len(said) == TEXT - 1
        torch.testing.assert_close(heard, said[: len(heard)])


def test_nobody_listens(asker: Asker) -> None:
    with duet_of(asker.folder, (Thinker, Talker)) as duet:
        heard = duet.ask("a", asker.values(), spoken=False)
        duet.run()
        assert heard.text == asker.text
        assert heard.speech == []


def test_the_conversation_goes_ahead_of_the_text(asker: Asker) -> None:
    """So that the talker computes it while the thinker does."""
    with duet_of(asker.folder, (Thinker, Talker)) as duet:
        heard = duet.ask("a", asker.values())
        duet.step_thinker()
        assert "prompt" in heard.speech[0]
        assert "text" not in heard.speech[0]
        assert not heard.order, "the thinker has computed nothing yet"
        assert duet.step_talker(), "the talker has something to compute"
        duet.run()
        assert heard.codes == asker.expected.codes
        assert duet.consumed["a"] == len(heard.speech), "every chunk gives its credit back"


def test_the_text_goes_in_few_messages_the_first_at_once(asker: Asker) -> None:
    with duet_of(asker.folder, (Thinker, Talker)) as duet:
        heard = duet.ask("a", asker.values())
        duet.run()
        sizes = [chunk["text"].shape[0] for chunk in heard.speech if "text" in chunk]
        assert sizes[:-1] == [1, 1, 2, 4]
        assert sum(sizes) == TEXT - 1, "the token that ends an answer for its length is not spoken"


def test_a_drop_in_the_middle_leaves_nothing(asker: Asker) -> None:
    with duet_of(asker.folder, (Thinker, Talker)) as duet:
        for steps in range(1, 9):
            heard = duet.ask(str(steps), asker.values())
            for _ in range(steps):
                duet.step_thinker()
                duet.step_talker()
            assert not heard.codes_ended
            duet.drop(str(steps))
            while duet.step_thinker() or duet.step_talker():
                pass
            duet.check_idle()


def test_a_pause_is_of_one_request_alone(asker: Asker) -> None:
    with duet_of(asker.folder, (Thinker, Talker)) as duet:
        slow, quick = duet.ask("slow", asker.values()), duet.ask("quick", asker.values())
        while len(slow.codes) < 3:
            duet.step_thinker()
            duet.step_talker()
        duet.talker.offer(Pause("slow"))
        duet.run()
        assert quick.codes_ended
        assert len(slow.codes) == 3
        assert slow.text == asker.text, "who does not listen may still read"
        assert duet.consumed["slow"] == len(slow.speech), "the thinker gets its credit back"
        duet.talker.offer(Resume("slow"))
        duet.run()
        assert slow.codes == quick.codes


def test_a_request_that_never_hears_anything_waits_and_can_be_dropped(asker: Asker) -> None:
    with duet_of(asker.folder, (Thinker, Talker)) as duet:
        duet.talker.offer(Begin("a", {}, frozenset({"speech"}), frozenset({"codes"}), {}, math.inf))
        assert duet.step_talker()
        assert not duet.step_talker(), "nothing to do until it hears"
        assert duet.talker.load().queued == 1
        duet.talker.offer(Drop("a"))
        duet.check_idle()


def test_frames_have_as_many_codes_as_the_model_has_groups(asker: Asker) -> None:
    with duet_of(asker.folder, (Thinker, Talker)) as duet:
        assert {len(frame) for frame in codes_of(duet, "a", asker.values())} == {GROUPS}


@pytest.mark.parametrize(("thinker", "talker"), [("bfloat16", "bfloat16"), ("bfloat16", "float32")])
def test_in_half_precision(asker: Asker, thinker: str, talker: str) -> None:
    """Which codes, nobody can say; but what travels fits, whatever each stage computes in."""
    with duet_of(asker.folder, (Thinker, Talker), thinker={"dtype": thinker}, talker={"dtype": talker}) as duet:
        drawn = asker.values(talker={"do_sample": True, "seed": 1})
        heard = [duet.ask("a", asker.values()), duet.ask("b", drawn)]
        duet.run()
        assert all(one.error is None and one.text_ended and one.codes_ended for one in heard)
        assert heard[0].speech[0]["prompt"].dtype == "bf16"
