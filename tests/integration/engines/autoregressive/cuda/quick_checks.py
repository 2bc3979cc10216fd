"""What is checked in Triton's interpreter, which a process has from its start or not at all: `python -m … CHECK`."""

import copy
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import numpy as np
import torch
import triton.language as tl  # type: ignore[import-untyped]
from tests.integration.engines.autoregressive.cuda.captured import UNCAPTURED
from tests.integration.engines.autoregressive.cuda.playback import Playback, Refused, watch_launches
from tests.integration.engines.autoregressive.models import CONFIGS, FURTHER
from tests.integration.engines.autoregressive.serving import Answer, Driver, TokenProgram, engine_for, model_of
from triton.runtime import interpreter  # type: ignore[import-untyped]

from omnipipe.engines.autoregressive.architecture import examine
from omnipipe.engines.autoregressive.cuda import kernels
from omnipipe.engines.autoregressive.cuda.graphs import DecodeGraph
from omnipipe.engines.autoregressive.cuda.quick import Quick
from omnipipe.engines.autoregressive.cuda.rehearsal import apart
from omnipipe.engines.autoregressive.cuda.trial import LayerKind, Trial, differences
from omnipipe.engines.autoregressive.kv import KvMemory, Place
from omnipipe.engines.autoregressive.runner import Runner

__all__ = ["CHECKS"]

WAIT_S = 60.0
NEW = 32
SIZES = (1, 17, 33)
_SHAPES: Final = (
    LayerKind(4, 2, 16, 16),
    LayerKind(7, 1, 32, 32, window=20),
    LayerKind(2, 2, 24, 16, softcap=5.0),
    LayerKind(6, 2, 64, 64, window=50, softcap=20.0, sinks=True),
    LayerKind(2, 1, 192, 128, sinks=True),
    LayerKind(3, 1, 256, 256),
)

said: list[str] = []


class _Said(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        said.append(record.getMessage())


def fine(trial: Trial) -> str:
    return ""


def mend_interpreter() -> None:
    """It keeps bf16 as the bits of whole numbers, and multiplies these."""
    builder: Any = interpreter.InterpreterBuilder
    plain = builder.create_dot

    def create_dot(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        return plain(self, _widened(a), _widened(b), *rest)

    builder.create_dot = create_dot


def _widened(handle: Any) -> Any:
    if handle.dtype.scalar != tl.bfloat16:
        return handle
    bits = handle.data.astype(np.uint32) << 16
    return interpreter.TensorHandle(bits.view(np.float32), tl.float32)


def numbers(dtype: str, slots: int, kinds: tuple[LayerKind, ...]) -> None:
    assert list(differences(Trial("cpu", dtype, slots, kinds))) == []


@contextmanager
def changed(name: str, change: Callable[[list[Any]], None]) -> Iterator[None]:
    """A kernel that is launched with other arguments."""
    kernel = getattr(kernels, name)

    class Changed:
        def __getitem__(self, grid: Any) -> Callable[..., None]:
            def launch(*args: Any) -> None:
                given = list(args)
                change(given)
                kernel[grid](*given)

            return launch

    setattr(kernels, name, Changed())
    try:
        yield
    finally:
        setattr(kernels, name, kernel)


def wrong_kernels_are_found() -> None:
    kind = LayerKind(4, 2, 16, 16, window=20)

    def wider(given: list[Any]) -> None:
        given[12] += 1

    def elsewhere(given: list[Any]) -> None:
        given[4] = given[4] + torch.tensor([0, 0, 1, 0, 0], dtype=torch.int32)

    def uncleared(given: list[Any]) -> None:
        given[4] = given[4] * torch.tensor([1, 1, 1, 1, 0], dtype=torch.int32)

    for name, change in (("attend", wider), ("store", elsewhere), ("store", uncleared)):
        with changed(name, change):
            assert next(differences(Trial("cpu", "float32", 16, [kind])), None), change


@contextmanager
def quick(model: Any, *, rehearse: Callable[[Trial], str] = fine, capture: Any = None) -> Iterator[tuple[Driver, Any]]:
    """An engine that computes as on a GPU."""
    said.clear()
    with engine_for(TokenProgram(copy.deepcopy(model)), prefix_cache=False) as driver:
        runner = driver.engine._runner
        made = Quick(
            runner._memory,
            max_batch=8,
            width=32,
            stage="test",
            capture=Playback() if capture is None else capture,
            rehearse=rehearse,
        )
        runner.quick = made
        driver.ask("first", [5, 6, 7], 2)
        driver.run()
        assert made.rehearsal is not None
        assert made.rehearsal.wait(WAIT_S)
        yield driver, made


def asked(driver: Driver) -> list[Answer]:
    generator = torch.Generator().manual_seed(3)
    prompts = [torch.randint(2, 300, (size,), generator=generator).tolist() for size in SIZES]
    answers = [driver.ask(str(index), prompt, NEW - 2 * index) for index, prompt in enumerate(prompts)]
    driver.run()
    assert all(answer.error is None for answer in answers)
    return answers


def plain_tokens(model: Any) -> list[list[int]]:
    with engine_for(TokenProgram(copy.deepcopy(model)), prefix_cache=False) as driver:
        return [answer.tokens for answer in asked(driver)]


def tokens(name: str) -> None:
    """The answers are those of plain operations, and it was not these that computed them."""
    model = model_of(name)
    wanted = plain_tokens(model)
    capture = Playback()
    with quick(model, capture=capture) as (driver, made):
        assert [answer.tokens for answer in asked(driver)] == wanted, said
        assert made.kernel_on and made.graphs_on, said
        assert capture.captures > 0
        assert capture.replays > 5 * capture.captures
        assert not any("stays" in line or "are not" in line for line in said)


def a_trial_is_a_process_of_its_own() -> None:
    kind = LayerKind(2, 1, 16, 16)
    assert apart(Trial("cpu", "float32", 16, [kind])) == ""
    assert "float31" in apart(Trial("cpu", "float31", 16, [kind]))


def models_are_captured() -> None:
    found = set()
    for name in sorted({*CONFIGS, *FURTHER}):
        model = model_of(name)
        architecture = examine(model)
        memory = KvMemory(architecture, 8, 16, torch.float32, torch.device("cpu"))
        runner = Runner(model, architecture, memory)
        graph = DecodeGraph(runner._logits, memory, 2, 4, Playback())
        with suppress(Refused), torch.inference_mode():
            graph.capture([Place(0, 1, 3, [5])], [7])
            found.add(name)
    assert {*CONFIGS, *FURTHER} - found == UNCAPTURED


def a_model_that_asks_the_device_is_not_captured() -> None:
    model = model_of("llama")
    decoder: Any = model.model
    decoder.norm.register_forward_hook(lambda module, given, out: out * (1.0 if out.sum().item() else 2.0))
    wanted = plain_tokens(model)
    with quick(model) as (driver, made):
        assert [answer.tokens for answer in asked(driver)] == wanted
        assert made.kernel_on
        assert not made.graphs_on
    assert sum("steps are not captured: Refused" in line for line in said) == 1


def a_graph_that_says_something_else_is_not_used() -> None:
    """One that was right when it was captured, and reads nothing that comes later."""

    def frozen(function: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        out = function()
        return lambda: out

    model = model_of("llama")
    wanted = plain_tokens(model)
    with quick(model, capture=frozen) as (driver, made):
        assert [answer.tokens for answer in asked(driver)] == wanted
        assert made.kernel_on
        assert not made.graphs_on
    assert sum("logits are off by" in line for line in said) == 1


def a_replay_that_fails_is_computed_again() -> None:
    def failing(function: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        replay, played = Playback()(function), 0

        def play() -> torch.Tensor:
            nonlocal played
            played += 1
            if played > 5:
                raise RuntimeError("the driver is gone")
            return replay()

        return play

    model = model_of("llama")
    wanted = plain_tokens(model)
    with quick(model, capture=failing) as (driver, made):
        assert [answer.tokens for answer in asked(driver)] == wanted
        assert made.kernel_on
        assert not made.graphs_on
    assert sum("the driver is gone" in line for line in said) == 1


def a_kernel_that_failed_its_trial_is_never_launched() -> None:
    model = model_of("llama")
    wanted = plain_tokens(model)

    def fail(given: list[Any]) -> None:
        raise AssertionError("launched")

    with changed("store", fail), quick(model, rehearse=lambda trial: "off by 3") as (driver, made):
        assert [answer.tokens for answer in asked(driver)] == wanted
        assert not made.kernel_on
    assert sum("attention stays plain operations: off by 3" in line for line in said) == 1


def a_kernel_that_differs_here_is_not_used() -> None:
    model = model_of("llama")
    wanted = plain_tokens(model)

    def scaled(given: list[Any]) -> None:
        given[13] *= 1.01

    with changed("attend", scaled), quick(model) as (driver, made):
        assert [answer.tokens for answer in asked(driver)] == wanted
        assert not made.kernel_on
    assert sum("attention is off by" in line for line in said) == 1


def a_kernel_that_fails_is_given_up(after: int, error: Exception) -> None:
    model = model_of("llama")
    wanted = plain_tokens(model)
    launches = 0

    def fail(given: list[Any]) -> None:
        nonlocal launches
        launches += 1
        if launches > after:
            raise error

    with changed("attend", fail), quick(model) as (driver, made):
        assert [answer.tokens for answer in asked(driver)] == wanted
        assert not made.kernel_on
    assert launches == after + 1
    assert sum("attention stays plain operations" in line for line in said) == 1


def memory_that_runs_out_makes_steps_smaller() -> None:
    """Once the kernel is in use it is as with plain operations: the engine's to survive."""
    model = model_of("llama")
    wanted = plain_tokens(model)
    launches = failed = 0

    def fail(given: list[Any]) -> None:
        nonlocal launches, failed
        launches += 1
        if launches > 24 and len(given[7]) > 1:
            failed += 1
            raise torch.OutOfMemoryError("no room")

    with changed("attend", fail), quick(model) as (driver, made):
        assert [answer.tokens for answer in asked(driver)] == wanted
        assert made.kernel_on
    assert failed > 0
    assert any("out of memory; steps have" in line for line in said)


def a_request_gone_wrong_costs_nobody_else() -> None:
    """Neither does it look like a kernel that is wrong."""
    model = model_of("llama")
    wanted = plain_tokens(model)
    embed: Any = model.get_input_embeddings()
    embed.weight.data[1] = float("nan")
    assert not any(1 in answer for answer in wanted)
    with quick(model) as (driver, made):
        for round_ in range(2):
            bad = driver.ask(f"bad {round_}", [3, 1, 4], NEW)
            answers = asked(driver)
            assert bad.error is not None
            assert [answer.tokens for answer in answers] == wanted
        assert made.kernel_on and made.graphs_on, said


CHECKS: Final[dict[str, Callable[[], None]]] = {
    "kernel, f32": lambda: numbers("float32", 16, _SHAPES),
    "kernel, bf16": lambda: numbers("bfloat16", 16, _SHAPES[:4]),
    "kernel, f16, odd blocks": lambda: numbers("float16", 5, _SHAPES[:4]),
    "wrong kernels": wrong_kernels_are_found,
    "llama": lambda: tokens("llama"),
    "gemma2": lambda: tokens("gemma2"),
    "apart": a_trial_is_a_process_of_its_own,
    "captures": models_are_captured,
    "asks the device": a_model_that_asks_the_device_is_not_captured,
    "frozen graph": a_graph_that_says_something_else_is_not_used,
    "failing graph": a_replay_that_fails_is_computed_again,
    "failed trial": a_kernel_that_failed_its_trial_is_never_launched,
    "kernel off": a_kernel_that_differs_here_is_not_used,
    "kernel fails at once": lambda: a_kernel_that_fails_is_given_up(0, RuntimeError("no compiler")),
    "kernel fails later": lambda: a_kernel_that_fails_is_given_up(40, RuntimeError("no launch")),
    "no room in a comparison": lambda: a_kernel_that_fails_is_given_up(1, torch.OutOfMemoryError("no room")),
    "no room": memory_that_runs_out_makes_steps_smaller,
    "a request gone wrong": a_request_gone_wrong_costs_nobody_else,
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    mend_interpreter()
    watch_launches()
    engine_log = logging.getLogger("omnipipe.engines")
    engine_log.setLevel(logging.INFO)
    engine_log.addHandler(_Said())
    for check in sys.argv[1:]:
        CHECKS[check]()
