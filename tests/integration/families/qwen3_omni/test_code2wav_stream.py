"""The waveform is that of all codes at once, however they come, whoever else is being computed, whenever it is read."""

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.families.omni_parts.stages import context_of
from tests.integration.families.qwen3_omni.tiny_model import CODEBOOK, GROUPS
from transformers import Qwen3OmniMoeForConditionalGeneration

from omnipipe.engines.batch import BatchEngine
from omnipipe.engines.engine import Begin, Consumed, Emission, Failure, Feed, Finished, Pause, Resume
from omnipipe.engines.kernels.native import NativeKernels
from omnipipe.families.omni_parts.tensors import from_torch
from omnipipe.families.qwen3_omni.code2wav import Code2Wav
from omnipipe.families.qwen3_omni.graph import FAMILY
from omnipipe.spec.plan import EnginePlan

LONGEST = 60
BUILD_S = 240.0

Wave = npt.NDArray[Any]


class NoKernels(NativeKernels):
    """As where there is no compiler."""

    def start(self) -> None:
        """There is nothing to be had."""


@pytest.fixture(scope="module", params=["torch", "native"])
def kernels(request: pytest.FixtureRequest) -> NativeKernels:
    """Everything here holds with plain torch operations and with the kernel."""
    if request.param == "torch":
        return NoKernels()
    if shutil.which("g++") is None:
        pytest.skip("no g++ on this machine")
    built = NativeKernels()
    built.start()
    assert built.wait(BUILD_S)
    return built


@pytest.fixture(scope="module")
def program(omni_folder: Path, kernels: NativeKernels) -> Code2Wav:
    return Code2Wav(context_of(FAMILY, omni_folder, "code2wav"), kernels)


@pytest.fixture(scope="module")
def waves(omni_reference: Qwen3OmniMoeForConditionalGeneration) -> tuple[torch.Tensor, Wave]:
    """Codes of three speakers, and transformers' waveforms of all of them at once."""
    generator = torch.Generator().manual_seed(3)
    codes = torch.randint(0, CODEBOOK, (3, LONGEST, GROUPS), generator=generator)
    with torch.no_grad():
        whole = omni_reference.code2wav(codes.transpose(1, 2))
    return codes.to(torch.int32), whole[:, 0].numpy()


class Listener:
    """A batch engine that is fed and read by hand."""

    def __init__(self, program: Code2Wav) -> None:
        self.engine = BatchEngine(program, EnginePlan(max_batch=8), lambda: 0.0)
        self.sound: dict[str, list[Emission]] = {}
        self.consumed: dict[str, int] = {}
        self.failed: dict[str, str] = {}
        self.finished: set[str] = set()

    def begin(self, *rids: str) -> None:
        for rid in rids:
            self.sound[rid], self.consumed[rid] = [], 0
            self.engine.offer(Begin(rid, {}, frozenset({"codes"}), frozenset({"audio"}), {}, 1e9))

    def feed(self, rid: str, codes: torch.Tensor, last: bool) -> None:
        self.engine.offer(Feed(rid, "codes", {"codes": from_torch(codes)}, last))

    def settle(self) -> None:
        while self.engine.next_step(0.0) == 0.0:
            self.step()

    def step(self) -> None:
        for result in self.engine.step(0.0):
            match result:
                case Emission():
                    self.sound[result.rid].append(result)
                case Consumed():
                    self.consumed[result.rid] += result.count
                case Failure():
                    self.failed[result.rid] = result.error.message
                case Finished():
                    self.finished.add(result.rid)

    def samples(self, rid: str) -> Wave:
        pieces = self.sound[rid]
        assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        assert pieces[-1].meta == {"sample_rate_hz": 24_000, "channels": 1}
        assert all(piece.value.dtype == "i16" for piece in pieces)
        return np.concatenate([piece.value.numpy() for piece in pieces]) / 32767


def check(listener: Listener, rid: str, whole: "np.ndarray[tuple[int], np.dtype[np.float32]]", frames: int) -> None:
    samples = listener.samples(rid)
    assert samples.size == max(0, frames * 1920 - 555)
    np.testing.assert_allclose(samples, whole[: samples.size], atol=1e-4)
    assert rid in listener.finished


@settings(max_examples=25, deadline=None)
@given(
    frames=st.tuples(*[st.integers(0, LONGEST)] * 3),
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=8),
    moves=st.lists(st.sampled_from(["feed", "feed", "step", "pause", "resume"]), max_size=60),
)
def test_any_cutting_any_mix_any_pauses(
    program: Code2Wav,
    waves: tuple[torch.Tensor, Wave],
    frames: tuple[int, int, int],
    cuts: Sequence[int],
    moves: Sequence[str],
) -> None:
    codes, whole = waves
    listener = Listener(program)
    rids = [str(index) for index in range(3)]
    listener.begin(*rids)
    at = [0, 0, 0]
    ended = [False] * 3
    fed = [0, 0, 0]
    paused: set[int] = set()
    size = itertools.cycle(cuts)

    def feed(index: int) -> None:
        start = at[index]
        at[index] = min(frames[index], start + next(size))
        ended[index] = at[index] == frames[index]
        fed[index] += 1
        listener.feed(rids[index], codes[index, start : at[index]], ended[index])

    for turn, move in enumerate(moves):
        index = turn % 3
        match move:
            case "feed" if not ended[index]:
                feed(index)
            case "pause":
                paused.add(index)
                listener.engine.offer(Pause(rids[index]))
            case "resume":
                paused.discard(index)
                listener.engine.offer(Resume(rids[index]))
            case "step" if listener.engine.next_step(0.0) == 0.0:
                before = {other: len(listener.sound[rids[other]]) for other in paused}
                listener.step()
                assert before == {other: len(listener.sound[rids[other]]) for other in paused}
    for index in range(3):
        listener.engine.offer(Resume(rids[index]))
        while not ended[index]:
            feed(index)
    listener.settle()
    assert not listener.failed
    for index, rid in enumerate(rids):
        check(listener, rid, whole[index], frames[index])
        assert listener.consumed[rid] == fed[index]


def test_the_first_sound_leaves_early_and_pieces_grow(program: Code2Wav, waves: tuple[torch.Tensor, Wave]) -> None:
    codes, whole = waves
    listener = Listener(program)
    listener.begin("r")
    sizes = []
    for frame in range(LONGEST):
        listener.feed("r", codes[0, frame : frame + 1], frame == LONGEST - 1)
        listener.settle()
        sizes.append(len(listener.sound["r"]))
    assert [sizes.index(count) + 1 for count in range(1, 7)] == [1, 3, 7, 15, 31, 56]
    check(listener, "r", whole[0], LONGEST)


def test_what_has_come_meanwhile_goes_along(program: Code2Wav, waves: tuple[torch.Tensor, Wave]) -> None:
    codes, whole = waves
    listener = Listener(program)
    listener.begin("r")
    for start in (0, 20):
        listener.feed("r", codes[0, start : start + 20], False)
        listener.settle()
    listener.feed("r", codes[0, 40:47], True)
    listener.settle()
    ends = np.cumsum([piece.value.shape[0] for piece in listener.sound["r"]])
    assert [round((end + 555) / 1920) for end in ends] == [1, 17, 42, 47]
    check(listener, "r", whole[0], 47)


def test_nothing_to_say(program: Code2Wav) -> None:
    listener = Listener(program)
    listener.begin("r")
    listener.settle()
    listener.feed("r", torch.empty((0, GROUPS), dtype=torch.int32), True)
    listener.settle()
    assert listener.samples("r").size == 0
    assert not listener.failed


def test_codes_that_are_none_fail_alone(program: Code2Wav, waves: tuple[torch.Tensor, Wave]) -> None:
    codes, whole = waves
    listener = Listener(program)
    listener.begin("good", "bad", "odd")
    listener.feed("good", codes[0, :9], True)
    listener.feed("bad", codes[1, :9] + CODEBOOK, True)
    listener.feed("odd", codes[1, :9, :2].contiguous(), True)
    listener.settle()
    assert set(listener.failed) == {"bad", "odd"}
    check(listener, "good", whole[0], 9)


def test_the_kernel_takes_over_in_the_middle_of_a_waveform(omni_folder: Path, waves: tuple[torch.Tensor, Wave]) -> None:
    codes, whole = waves
    kernels = NoKernels()
    program = Code2Wav(context_of(FAMILY, omni_folder, "code2wav"), kernels)
    built = NativeKernels()
    built.start()
    if not built.wait(BUILD_S):
        pytest.skip("no g++ on this machine")
    listener = Listener(program)
    listener.begin("r")
    for start in range(0, LONGEST, 5):
        kernels.ready = start // 20 % 2 == 1
        listener.feed("r", codes[0, start : start + 5], start + 5 == LONGEST)
        listener.settle()
    check(listener, "r", whole[0], LONGEST)
