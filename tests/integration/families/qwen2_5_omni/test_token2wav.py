"""The waveform is transformers' own for the same noise, wherever it is cut."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.integration.families.omni_parts.stages import context_of, job_of

from omnipipe.engines.errors import LoadingError
from omnipipe.engines.program import Job, Outcome
from omnipipe.errors import RequestError
from omnipipe.families.omni_parts.tensors import from_torch
from omnipipe.families.qwen2_5_omni.flow import noise_of
from omnipipe.families.qwen2_5_omni.graph import FAMILY
from omnipipe.families.qwen2_5_omni.token2wav import Token2Wav
from omnipipe.wire.value import Value

HOP, REPEATS, BLOCK, MELS = 240, 2, 4, 16
LONG = 300
"""Codes: 150 blocks. A block depends on 72 before it and 36 behind it."""


def codes_of(size: int, seed: int = 0) -> list[int]:
    return [int(code) for code in np.random.default_rng(seed).integers(0, 72, size)]


def chunk(codes: Sequence[int], **first: Value) -> Value:
    return {"codes": from_torch(torch.tensor(codes, dtype=torch.int32)), **first}


class Listener:
    """One request, fed bit by bit."""

    def __init__(self, rid: str, voice: str = "ethan", seed: int = 7) -> None:
        self.job: Job = job_of(rid, {}, ("audio",), ("codes",))
        self.first: dict[str, Value] = {"voice": voice, "seed": seed}
        self.pieces: list[np.ndarray[Any, Any]] = []
        self.done = False
        self.meta: Any = None

    def feed(self, codes: Sequence[int], *, last: bool = False) -> None:
        first, self.first = self.first, {}
        self.job.chunks["codes"].append(chunk(codes, **first))
        if last:
            self.job.ended.add("codes")

    def took(self, outcome: Outcome | Exception) -> None:
        self.job.chunks["codes"].clear()
        if isinstance(outcome, Exception):
            raise outcome
        for emit in outcome.emits:
            self.pieces.append(emit.value.numpy())
            self.meta = emit.meta
        self.done = outcome.then == "done"

    @property
    def samples(self) -> "np.ndarray[Any, Any]":
        return np.concatenate(self.pieces) if self.pieces else np.zeros(0, np.int16)


def run(program: Token2Wav, *listeners: Listener) -> None:
    left = [one for one in listeners if not one.done]
    for _ in range(1000):
        outcomes = program.run([one.job for one in left])
        for one, outcome in zip(left, outcomes, strict=True):
            one.took(outcome)
        left = [
            one
            for one, outcome in zip(left, outcomes, strict=True)
            if isinstance(outcome, Outcome) and outcome.then == "again"
        ]
        if not left:
            return
    raise AssertionError("it never comes to an end")


@pytest.fixture(scope="module")
def whole(older_folder: Path) -> Token2Wav:
    return Token2Wav(context_of(FAMILY, older_folder, "token2wav", section_blocks=1024))


@pytest.fixture(scope="module")
def cut(older_folder: Path) -> Token2Wav:
    return Token2Wav(context_of(FAMILY, older_folder, "token2wav", section_blocks=5))


@pytest.mark.parametrize(("voice", "size"), [("Chelsie", 1), ("Ethan", 40), ("Ethan", 101)])
def test_equals_transformers(
    voice: str, size: int, whole: Token2Wav, older_folder: Path, older_reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, seed = codes_of(size), 11
    noise = noise_of(seed, 0, size * REPEATS, BLOCK, MELS)
    monkeypatch.setattr(torch, "randn", lambda *_, **__: noise[None])
    spoken = torch.load(older_folder / "spk_dict.pt", weights_only=True)[voice]
    with torch.no_grad():
        expected = older_reference.token2wav(
            torch.tensor([codes]), conditioning=spoken["cond"], reference_mel=spoken["ref_mel"]
        )
    monkeypatch.undo()
    heard = Listener("a", voice, seed)
    heard.feed(codes, last=True)
    run(whole, heard)
    assert heard.done and heard.meta == {"sample_rate_hz": 24_000, "channels": 1}
    assert len(heard.samples) == size * REPEATS * HOP
    assert expected.abs().max() > 0.01, "no silence"
    np.testing.assert_allclose(heard.samples / 32767, expected.reshape(-1).numpy(), atol=1e-4)


@pytest.mark.parametrize("step", [1, 37, LONG])
def test_cut_anywhere_it_is_the_same(step: int, whole: Token2Wav, cut: Token2Wav) -> None:
    codes = codes_of(LONG)
    expected, heard, other = Listener("a"), Listener("b"), Listener("c", "chelsie")
    expected.feed(codes, last=True)
    run(whole, expected)
    other.feed(codes[:50])
    sizes = []
    for start in range(0, LONG, step):
        heard.feed(codes[start : start + step], last=start + step >= LONG)
        run(cut, heard, *([] if start else [other]))
        sizes.append(len(heard.samples))
    assert heard.done and not other.done
    assert len(heard.samples) == len(expected.samples)
    assert np.abs(heard.samples.astype(int) - expected.samples.astype(int)).max() <= 2
    if step < LONG:
        assert 0 < sizes[-2] < sizes[-1], "the first of it leaves before the last code has come"
    assert len(heard.pieces) > 5


def test_a_voice_and_a_seed_make_a_difference(whole: Token2Wav) -> None:
    heard = [Listener("a"), Listener("b"), Listener("c", seed=8), Listener("d", "chelsie")]
    for one in heard:
        one.feed(codes_of(30), last=True)
    run(whole, *heard)
    assert np.array_equal(heard[0].samples, heard[1].samples)
    assert not np.array_equal(heard[0].samples, heard[2].samples)
    assert not np.array_equal(heard[0].samples, heard[3].samples)


def test_an_empty_speech_is_a_speech(whole: Token2Wav) -> None:
    heard = Listener("a")
    heard.feed([], last=True)
    run(whole, heard)
    assert heard.done and not len(heard.samples)
    assert heard.meta == {"sample_rate_hz": 24_000, "channels": 1}


@pytest.mark.parametrize("bad", [[73], [-1]])
def test_bad_codes_end_their_request_alone(bad: list[int], whole: Token2Wav) -> None:
    good, wrong, unknown = Listener("a"), Listener("b"), Listener("c", "nobody")
    good.feed(codes_of(10), last=True)
    wrong.feed([1, *bad], last=True)
    unknown.feed(codes_of(10), last=True)
    outcomes = whole.run([wrong.job, good.job, unknown.job])
    assert isinstance(outcomes[0], ValueError)
    good.took(outcomes[1])
    assert good.done
    assert isinstance(outcomes[2], RequestError)


@pytest.mark.parametrize("content", [None, b"no tensors", b""])
def test_voices_that_cannot_be_read_end_the_start_in_one_line(
    content: bytes | None, older_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(older_folder, folder)
    (folder / "spk_dict.pt").unlink()
    if content is not None:
        (folder / "spk_dict.pt").write_bytes(content)
    with pytest.raises(LoadingError, match=r"^broken: its voices \(spk_dict.pt\) cannot be loaded: [^\n]+$"):
        Token2Wav(context_of(FAMILY, folder, "token2wav"))
