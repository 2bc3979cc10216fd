"""What the soak asks: requests made from a seed, each with what may become of it."""

import random
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from omnipipe.families.echo.text import split_words
from omnipipe.families.echo.tones import pitches, tone

__all__ = ["Case", "Plan", "calm_case", "make_case"]

_WORDS = ("river", "stone", "light", "seven", "green", "house", "open", "quiet", "morning", "bread", "wind", "salt")
_VOICE = "alloy"


class Plan(Enum):
    """What the request is meant to meet, beside the processes that are killed under it."""

    PLAIN = "plain"  # the right answer, unless nothing could save it
    LEAVES = "leaves"  # its client goes away
    REFUSED = "refused"  # a stage refuses it: 422
    FAILS = "fails"  # a stage has a bug: 500
    CRASHES = "crashes"  # a stage process ends because of it, on every attempt


@dataclass(frozen=True)
class Case:
    number: int
    plan: Plan
    text: str
    stream: bool
    audio: bool
    stage_params: dict[str, dict[str, object]]
    leave_after: int
    """With LEAVES: pieces to read before leaving; 0: leave without waiting for any."""
    leave_s: float
    """With LEAVES: leave after this long, whatever has come."""

    def body(self, model: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": self.text}],
            "stream": self.stream,
            "stage_params": self.stage_params,
        }
        if self.audio:
            body |= {"modalities": ["text", "audio"], "audio": {"voice": _VOICE, "format": "pcm16"}}
        return body

    @property
    def sound(self) -> bytes:
        """What the answer must sound like."""
        words = split_words(self.text)
        return b"".join(tone(word, hz, _VOICE) for word, hz in zip(words, pitches(words), strict=True))


def make_case(seed: int, number: int) -> Case:
    """The same for the same arguments. The text begins with the number: an answer to somebody else's question shows."""
    dice = random.Random(f"{seed}/{number}")
    plan = dice.choices([*Plan], weights=(748, 150, 50, 50, 2))[0]
    audio = dice.random() < 0.15
    stages = ["ingest", "words", "pitch", "compose", *(["synth"] if audio else [])]
    params: dict[str, dict[str, object]] = {}
    words = dice.randint(1, 12)
    match plan:
        case Plan.PLAIN:
            if dice.random() < 0.3:
                params[dice.choice(stages)] = {"delay_ms": dice.choice((1, 5, 20))}
        case Plan.LEAVES:
            words = 60
            params["compose"] = {"delay_ms": dice.choice((0, 2, 10))}
        case Plan.REFUSED | Plan.FAILS:
            fail = "request" if plan is Plan.REFUSED else "error"
            params[dice.choice(stages)] = {"fail": fail, "fail_after": 0}
            if dice.random() < 0.4:
                params = {"compose": {"fail": fail, "fail_after": dice.randint(0, words - 1)}}
        case Plan.CRASHES:
            params[dice.choice(stages)] = {"crash": True}
    return Case(
        number=number,
        plan=plan,
        text=" ".join([f"n{number}", *dice.choices(_WORDS, k=words - 1)]),
        stream=plan is Plan.LEAVES or dice.random() < 0.6,
        audio=audio,
        stage_params=params,
        leave_after=dice.choice((0, 1, 2, 5, 20)),
        leave_s=dice.choice((0.001, 0.005, 0.02, 0.1, 1.0)),
    )


def calm_case(seed: int, number: int) -> Case:
    """One that goes well, through every stage: between two rows of these a process should hold the same."""
    case = make_case(seed, number)
    return replace(case, plan=Plan.PLAIN, audio=True, stage_params={}, stream=number % 2 == 0)
