"""What the thinker hands the talker: the conversation once, then the embeddings of its answer, token by token.

As in transformers' `generate`, the token that ends an answer for its length is not spoken. Unlike there, neither is a
stop string, nor what is no content: reasoning, and calls of tools. What may be the beginning of one waits.
"""

from collections.abc import Sequence
from typing import Final

import torch

from omnipipe.engines.autoregressive.program import End, Finish
from omnipipe.engines.program import Emit
from omnipipe.families.qwen3_omni.tensors import from_torch, to_torch
from omnipipe.families.qwen3_omni.values import Prompt, SpeechBegin, Spoken
from omnipipe.wire.value import Value

__all__ = ["Narration"]

_OUT: Final = "speech"
_HEADER: Final = 3
"""Positions of `<|im_start|>assistant\\n`."""


class Narration:
    """One request's. `table`: the thinker's embeddings; `specials`: tts_bos, tts_eos and tts_pad."""

    def __init__(
        self, prompt: Prompt, spoken: Spoken, tokens: Sequence[int], table: torch.Tensor, specials: Sequence[int]
    ) -> None:
        self._spoken = spoken
        self._table = table
        rows = to_torch(spoken["rows"]).long()
        is_media = torch.zeros(len(tokens), dtype=torch.bool)
        for span in prompt["spans"]:
            is_media[span["start"] : span["start"] + span["size"]] = True
        self._media = is_media[rows]
        self._wanted = rows[self._media]
        """Positions whose hidden states are to be told."""
        ids = torch.tensor(tokens)
        header = spoken["header"]
        self._heard = self._looked_up(ids[rows])
        self._begin: SpeechBegin | None = {
            "media": from_torch(self._media),
            "header": from_torch(self._looked_up(ids[header : header + _HEADER])),
            "specials": from_torch(self._looked_up(torch.tensor(specials))),
            "voice": spoken["voice"],
            "options": spoken["options"],
        }
        if "positions" in spoken:
            self._begin["positions"] = spoken["positions"]
        self._states: list[torch.Tensor] = []
        self._shown = 0
        self._pending: list[torch.Tensor] = []
        """Of tokens that may yet turn out not to be spoken."""
        self.listens = len(self._wanted) > 0
        """It needs hidden states of the prompt."""

    def verbatim(self, tokens: Sequence[int]) -> Emit:
        """All there is to say: what follows the assistant's header."""
        text = torch.tensor(tokens[self._spoken["header"] + _HEADER :], dtype=torch.long)
        return self._emit([self._looked_up(text)] if len(text) else [], last=True)

    def opening(self) -> Emit:
        """The conversation. Only when nothing of it has to be listened to."""
        return self._emit([])

    def listen(self, states: torch.Tensor) -> None:
        """Hidden states of the next positions of the prompt."""
        end = self._shown + len(states)
        wanted = self._wanted[(self._wanted >= self._shown) & (self._wanted < end)]
        self._states.append(states[(wanted - self._shown).to(states.device)].to("cpu", self._heard.dtype))
        self._shown = end

    def say(self, row: torch.Tensor, *, holding: bool, last: bool) -> Sequence[Emit]:
        """`row`: `[1, hidden]`, of a new token. `last`: there is no room for another."""
        self._pending.append(row)
        if holding or last:
            return []
        said, self._pending = self._pending, []
        return [self._emit(said)]

    def skip(self) -> None:
        """The newest token is not to be heard, nor are those that waited before it."""
        self._pending = []

    def finish(self, end: End, *, cut: bool) -> Emit:
        """`cut`: what waits is not said: it is a stop string, or no content."""
        if cut:
            self._pending = []
        elif end.reason == Finish.LENGTH:
            self._pending = self._pending[:-1]
        return self._emit(self._pending, last=True)

    def _emit(self, rows: Sequence[torch.Tensor], *, last: bool = False) -> Emit:
        value: dict[str, Value] = {}
        if self._begin is not None:
            value.update(self._begin)
            if self.listens:
                self._heard[self._media] = torch.cat(self._states)
            value["prompt"] = from_torch(self._heard)
            self._begin = None
        if rows:
            value["text"] = from_torch(torch.cat(list(rows)))
        return Emit(_OUT, value, last=last)

    def _looked_up(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._table[tokens.to(self._table.device)].cpu()
