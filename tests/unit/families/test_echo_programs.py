import math
import os
from typing import Any

import numpy as np
import pytest
from tests.unit.families.echo_pipeline import Answer, ask

from omnipipe.engines.program import Job, StageContext
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.echo.knobs import CRASH_CODE
from omnipipe.families.echo.stages import Ingest, Pitch
from omnipipe.families.echo.tones import SAMPLE_RATE_HZ, VOICES
from omnipipe.wire.value import Tensor

TEXT = "  Hello, big\n world "


def samples(answer: Answer) -> list[np.ndarray]:
    pieces = [piece.value for piece in answer.pieces["audio"]]
    assert all(isinstance(piece, Tensor) and piece.dtype == "i16" for piece in pieces)
    return [piece.numpy() for piece in pieces]


def test_the_reply_is_the_last_message_a_word_a_chunk() -> None:
    answer = ask(TEXT)

    assert [piece.value for piece in answer.pieces["text"]] == ["  Hello, ", "big\n ", "world "]
    assert answer.text() == TEXT
    assert answer.meta("text") == {"finish_reason": "stop", "usage": {"prompt_tokens": 3, "completion_tokens": 3}}
    assert answer.ran == ["ingest", "words", "pitch", "compose"]


def test_text_and_audio_come_from_one_request() -> None:
    answer = ask(TEXT, "text", "audio")

    assert answer.text() == TEXT
    assert len(answer.pieces["audio"]) == 3
    assert answer.meta("audio") == {"sample_rate_hz": 24_000, "channels": 1}
    assert answer.ran[-1] == "synth"


def test_audio_alone_needs_no_text() -> None:
    answer = ask("one two", "audio")

    assert set(answer.pieces) == {"audio"}
    assert len(answer.pieces["audio"]) == 2


def test_the_same_words_sound_the_same_and_different_words_do_not() -> None:
    first, second, third, fourth = samples(ask("ding Ding! dong dung", "audio"))

    assert np.array_equal(first, second)
    assert not (len(first) == len(third) and np.array_equal(first, third) and np.array_equal(third, fourth))


@pytest.mark.parametrize("voice", VOICES)
def test_tones_are_audible_and_do_not_click(voice: str) -> None:
    for tone in samples(ask("a melodious sentence", "audio", voice=voice)):
        level = tone.astype(np.float64) / 32768

        assert 0.1 < len(tone) / SAMPLE_RATE_HZ < 1.0
        assert np.sqrt(np.mean(level**2)) > 0.05
        assert np.abs(level).max() <= 0.31
        assert abs(level[0]) < 0.001
        assert abs(level[-1]) < 0.001


def test_a_voice_changes_the_pitch() -> None:
    def strongest_hz(voice: str) -> float:
        [tone] = samples(ask("extraordinarily", "audio", voice=voice))
        spectrum = np.abs(np.fft.rfft(tone))
        return float(np.argmax(spectrum)) * SAMPLE_RATE_HZ / len(tone)

    assert strongest_hz("flute") == pytest.approx(2 * strongest_hz("alloy"), rel=0.05)
    assert strongest_hz("cello") == pytest.approx(strongest_hz("alloy") / 2, rel=0.05)


@pytest.mark.parametrize(
    ("options", "text", "finish", "tokens"),
    [
        ({"max_tokens": 2}, "one two ", "length", 2),
        ({"max_completion_tokens": 3}, "one two three", "stop", 3),
        ({"stop": "two"}, "one ", "stop", 1),
        ({"stop": ["three", "wo"]}, "one t", "stop", 2),
        ({"stop": "one"}, "", "stop", 0),
    ],
)
def test_options_have_their_effect(options: dict[str, Any], text: str, finish: str, tokens: int) -> None:
    answer = ask("one two three", "text", "audio", **options)

    assert answer.text() == text
    assert answer.meta("text") == {
        "finish_reason": finish,
        "usage": {"prompt_tokens": 3, "completion_tokens": tokens},
    }
    assert len(answer.pieces["audio"]) == max(1, tokens)


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_a_message_without_words_gets_an_answer_all_the_same(text: str) -> None:
    answer = ask(text, "text", "audio")

    assert answer.text() == text
    assert len(answer.pieces["text"]) == len(answer.pieces["audio"]) == 1
    assert answer.meta("audio")


def test_delays_come_before_each_chunk_and_answer() -> None:
    answer = ask("one two three", stage_params={"ingest": {"delay_ms": 1000}, "compose": {"delay_ms": 100}})

    assert answer.waited_s == pytest.approx(1.3)
    assert answer.text() == "one two three"


def test_a_delay_in_synth_is_one_a_note() -> None:
    answer = ask("one two three", "audio", stage_params={"synth": {"delay_ms": 50}})

    assert answer.waited_s == pytest.approx(0.15)
    assert len(answer.pieces["audio"]) == 3


@pytest.mark.parametrize("stage", ["ingest", "words", "pitch", "compose", "synth"])
def test_any_stage_can_refuse_a_request(stage: str) -> None:
    answer = ask("one two", "text", "audio", stage_params={stage: {"fail": "request"}})

    assert answer.error is not None
    assert (answer.error.kind, answer.error.param) == (ErrorKind.UNPROCESSABLE, f"stage_params.{stage}.fail")


@pytest.mark.parametrize("stage", ["ingest", "words", "pitch", "compose", "synth"])
def test_any_stage_can_fail_as_a_bug_does(stage: str) -> None:
    answer = ask("one two", "text", "audio", stage_params={stage: {"fail": "error"}})

    assert answer.error is not None
    assert answer.error.kind is ErrorKind.INTERNAL


@pytest.mark.parametrize("output", ["text", "audio"])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_failure_after_so_many_chunks(output: str, after: int) -> None:
    stage = {"text": "compose", "audio": "synth"}[output]
    answer = ask("one two three", output, stage_params={stage: {"fail": "error", "fail_after": after}})

    assert answer.error is not None
    assert len(answer.pieces[output]) == after


def test_a_payload_stage_can_fail_after_its_answer() -> None:
    answer = ask("one", stage_params={"words": {"fail": "request", "fail_after": 1}})

    assert answer.ran == ["ingest", "words"]
    assert answer.error is not None


def test_a_failure_after_more_chunks_than_there_are_is_none() -> None:
    answer = ask("one two", stage_params={"compose": {"fail": "error", "fail_after": 3}})

    assert answer.error is None
    assert answer.text() == "one two"


@pytest.mark.parametrize(("stage", "after"), [("ingest", 0), ("compose", 2), ("synth", 1)])
def test_any_stage_can_crash(stage: str, after: int) -> None:
    child = os.fork()
    if child == 0:
        try:
            ask("one two three", "text", "audio", stage_params={stage: {"crash": True, "crash_after": after}})
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == CRASH_CODE


def test_chunks_of_any_number_and_size() -> None:
    params = {"compose": {"chunks": 5, "chunk_bytes": 3}, "synth": {"chunks": 4, "chunk_bytes": 1000}}
    answer = ask("one two", "text", "audio", stage_params=params)

    assert [piece.value for piece in answer.pieces["text"]] == ["xxx"] * 5
    assert [piece.value.nbytes for piece in answer.pieces["audio"]] == [1000] * 4
    assert answer.meta("text")["usage"] == {"prompt_tokens": 2, "completion_tokens": 5}
    assert answer.meta("audio")


@pytest.mark.parametrize("params", [{"speed": 1}, {"delay_ms": "1"}, {"chunk_bytes": 3}])
def test_a_stage_looks_at_its_params_itself(params: dict[str, object]) -> None:
    answer = ask("one", "audio", stage_params={"synth": params})

    assert answer.error is not None
    assert answer.error.kind is ErrorKind.INVALID
    assert answer.error.param == f"stage_params.synth.{next(iter(params))}"


def test_neighbours_in_a_step_do_not_feel_each_other() -> None:
    program = Pitch(StageContext("pitch", None, {}))
    prompt = {"text": "one", "stop": [], "voice": "alloy", "prompt_tokens": 1}
    asked: list[dict[str, Any]] = [{}, {"fail": "error"}, {"speed": 1}, {}]
    jobs = [
        Job(f"r{n}", {"prompt": prompt}, params, frozenset({"pitches"}), frozenset(), math.inf)
        for n, params in enumerate(asked)
    ]

    first, second, third, fourth = program.run(jobs)

    assert first == fourth
    assert isinstance(second, RuntimeError)
    assert isinstance(third, RequestError)


def test_a_request_that_no_gateway_made_is_refused() -> None:
    program = Ingest(StageContext("ingest", None, {}))
    jobs = [
        Job(f"r{n}", {"request": value}, {}, frozenset({"prompt"}), frozenset(), math.inf)
        for n, value in enumerate([None, 5, {"text": 5}, {"text": "x", "stop": "y", "voice": "z", "prompt_tokens": 1}])
    ]

    assert all(isinstance(outcome, RequestError) for outcome in program.run(jobs))
