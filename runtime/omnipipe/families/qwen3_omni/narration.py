"""What the thinker hands the talker: the conversation once, then the embeddings of its answer as it is written.

As in transformers' `generate`, the token that ends an answer for its length is not spoken. Unlike there, neither is a
stop string, nor what is no content: reasoning, and calls of tools. What may be the beginning of one waits.
"""

from collections.abc import Sequence
from typing import Final

import torch

from omnipipe.engines.autoregressive.program import End, Finish, Hidden
from omnipipe.engines.program import Emit
from omnipipe.families.omni_parts import narration as parts
from omnipipe.families.omni_parts.tensors import from_torch, to_torch
from omnipipe.families.omni_parts.values import Prompt
from omnipipe.families.qwen3_omni.values import SpeechBegin, Spoken
from omnipipe.wire.value import Value

__all__ = ["Narration"]

_OUT: Final = "speech"
_TOGETHER: Final = 4
"""Tokens in a message at most. The first goes alone, and each message waits for as many as have left before it: the
talker, which takes one for 80 ms of sound, would be woken for each of them."""
_HEADER: Final = 3
"""Positions of `<|im_start|>assistant\\n`."""


class Narration(parts.Narration):
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
        self._tokens = torch.tensor(tokens)
        header = spoken["header"]
        self._heard = self._looked_up(self._tokens[rows])
        self._begin: SpeechBegin | None = {
            "media": from_torch(self._media),
            "header": from_torch(self._looked_up(self._tokens[header : header + _HEADER])),
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
        self._settled: list[torch.Tensor] = []
        """Of those that are to be spoken and have not left."""
        self._told = 0
        """Tokens that have."""

    @property
    def listens(self) -> Hidden:
        return Hidden.PROMPT if len(self._wanted) else Hidden.NONE

    def verbatim(self) -> Emit:
        """What follows the assistant's header."""
        text = self._tokens[self._spoken["header"] + _HEADER :]
        return self._emit([self._looked_up(text)] if len(text) else [], last=True)

    def opening(self) -> Sequence[Emit]:
        """The conversation, where nothing of it has to be listened to."""
        return [] if len(self._wanted) else [self._emit([])]

    def hear(self, states: torch.Tensor) -> Sequence[Emit]:
        """Of the prompt."""
        end = self._shown + len(states)
        wanted = self._wanted[(self._wanted >= self._shown) & (self._wanted < end)]
        self._states.append(states[(wanted - self._shown).to(states.device)].to("cpu", self._heard.dtype))
        self._shown = end
        return ()

    def say(self, row: torch.Tensor, *, holding: bool) -> Sequence[Emit]:
        self._pending.append(row)
        if holding:
            return []
        self._settled += self._pending
        self._pending = []
        return self._leave(min(max(1, self._told), _TOGETHER))

    def skip(self) -> Sequence[Emit]:
        self._pending = []
        return self._leave(1)

    def finish(self, end: End, *, cut: bool) -> Emit:
        if cut:
            self._pending = []
        elif end.reason == Finish.LENGTH:
            self._pending = self._pending[:-1]
        return self._emit([*self._settled, *self._pending], last=True)

    def _leave(self, least: int) -> Sequence[Emit]:
        """What is to be spoken, once it is so much."""
        if len(self._settled) < least:
            return ()
        said, self._settled = self._settled, []
        self._told += len(said)
        return [self._emit(said)]

    def _emit(self, rows: Sequence[torch.Tensor], *, last: bool = False) -> Emit:
        value: dict[str, Value] = {}
        if self._begin is not None:
            value.update(self._begin)
            if len(self._wanted):
                self._heard[self._media] = torch.cat(self._states)
            value["prompt"] = from_torch(self._heard)
            self._begin = None
        if rows:
            value["text"] = from_torch(torch.cat(list(rows)))
        return Emit(_OUT, value, last=last)

    def _looked_up(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._table[tokens.to(self._table.device)].cpu()
