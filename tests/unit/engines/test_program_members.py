"""What a program lacks is told when its stage starts."""

from typing import Any

import pytest

from omnipipe.engines.members import missing
from omnipipe.spec.plan import EngineKind

AUTOREGRESSIVE = {name: lambda self: None for name in ("load", "begin", "advance", "feed", "finish")}


def made(**members: Any) -> object:
    return type("Program", (), members)()


def test_whole_programs_lack_nothing() -> None:
    assert missing(made(cost=lambda self, job: 1, run=lambda self, batch: []), EngineKind.BATCH) is None
    assert missing(made(**AUTOREGRESSIVE, hidden_layers=()), EngineKind.AUTOREGRESSIVE) is None


@pytest.mark.parametrize(
    ("program", "kind", "words"),
    [
        (made(run=len), EngineKind.BATCH, "it has no cost(), as a program of the batch engine must"),
        (made(cost=1, run=len), EngineKind.BATCH, "it has no cost(), as a program of the batch engine must"),
        (made(), EngineKind.BATCH, "it has no cost(), run(), as a program of the batch engine must"),
        (
            made(**AUTOREGRESSIVE),
            EngineKind.AUTOREGRESSIVE,
            "it has no hidden_layers, as a program of the autoregressive engine must",
        ),
    ],
)
def test_what_is_missing_is_named(program: object, kind: EngineKind, words: str) -> None:
    assert missing(program, kind) == words
