"""What the thinker hands the talker: of all that was said to it and by it, the tokens and what it made of them.

A token's state is known when the next one has been computed, so that each is handed on one step late, and the last one
of an answer that ended for its length never is, as in transformers' `generate`. Stop strings and what is no content
are not handed on: what may be the beginning of one waits.
"""

from collections.abc import Sequence
from typing import Final

import torch

from omnipipe.engines.autoregressive.program import End, Hidden
from omnipipe.engines.program import Emit
from omnipipe.families.omni_parts import narration as parts
from omnipipe.families.omni_parts.tensors import from_torch
from omnipipe.families.omni_parts.values import Prompt
from omnipipe.families.qwen2_5_omni.values import SpeechBegin, Spoken
from omnipipe.wire.value import Value

__all__ = ["Narration"]

_OUT: Final = "speech"


class Narration(parts.Narration):
    """One request's. `specials`: the voice's beginning, the text's end, nothing."""

    def __init__(
        self, prompt: Prompt, spoken: Spoken, tokens: Sequence[int], table: torch.Tensor, specials: Sequence[int]
    ) -> None:
        self._size = len(tokens)
        self._heard = table[torch.tensor(tokens, device=table.device)].cpu()
        for span in prompt["spans"]:
            self._heard[span["start"] : span["start"] + span["size"]] = 0
        self._start = spoken["start"]
        self._begin: SpeechBegin = {
            "specials": from_torch(table[torch.tensor(specials, device=table.device)].cpu()),
            "voice": spoken["voice"],
            "options": spoken["options"],
        }
        if "positions" in prompt:
            self._begin["positions"] = prompt["positions"]
        self._told = 0
        self._begun = False
        self._newest: torch.Tensor | None = None
        """`[1, hidden]`: of the newest token, without its state."""
        self._sure = False
        """The newest token is to be said."""
        self._held: list[torch.Tensor] = []
        """Of tokens that may yet turn out not to be."""

    @property
    def listens(self) -> Hidden:
        return Hidden.ALL

    def hear(self, states: torch.Tensor) -> Sequence[Emit]:
        """Of the prompt; behind it, of the newest token."""
        return self._listen(states) if self._told < self._size else self._think(states)

    def verbatim(self) -> Emit:
        rows = self._heard[self._start :]
        self._heard = self._heard[: self._start]
        return self._emit([rows], last=True)

    def say(self, row: torch.Tensor, *, holding: bool) -> list[Emit]:
        self._newest, self._sure = row, not holding
        if holding or not self._held:
            return []
        said, self._held = self._held, []
        return [self._emit(said)]

    def skip(self) -> Sequence[Emit]:
        self._held, self._newest = [], None
        return ()

    def finish(self, end: End, *, cut: bool) -> Emit:
        return self._emit([] if cut else self._held, last=True)

    def _listen(self, states: torch.Tensor) -> list[Emit]:
        end = self._told + len(states)
        self._heard[self._told : end] += states.to("cpu", self._heard.dtype)
        self._told = end
        return [] if end < self._size or self._start < self._size else [self._emit([])]

    def _think(self, state: torch.Tensor) -> list[Emit]:
        if self._newest is None:
            return []
        row, self._newest = self._newest + state.to("cpu", self._newest.dtype), None
        if self._sure:
            return [self._emit([row])]
        self._held.append(row)
        return []

    def _emit(self, rows: Sequence[torch.Tensor], *, last: bool = False) -> Emit:
        value: dict[str, Value] = {}
        if not self._begun:
            self._begun = True
            value.update(self._begin)
            value["prompt"] = from_torch(self._heard)
        if rows:
            value["text"] = from_torch(torch.cat(list(rows)))
        return Emit(_OUT, value, last=last)
