"""What the talker hears: the conversation before, and the text that it speaks, as embeddings of its own width.

The counterpart of `_get_talker_user_parts` and `_get_talker_assistant_parts` in transformers' model, for text that
comes bit by bit.
"""

from collections.abc import Sequence
from typing import Any, Final, cast

import torch

from omnipipe.families.omni_parts.talker import Texts
from omnipipe.families.omni_parts.tensors import to_torch
from omnipipe.families.qwen3_omni.talker_model import TalkerModel
from omnipipe.families.qwen3_omni.values import SpeechBegin
from omnipipe.wire.value import Value

__all__ = ["Hearing"]

_PADS: Final = 4
"""Positions of silence between the assistant's header and the text."""


class Hearing:
    """One request's. Raises on a first chunk that does not fit the model."""

    def __init__(self, model: TalkerModel, begin: SpeechBegin, speaker: int) -> None:
        self._model = model
        self._device, self._dtype = model.device, model.dtype
        bos, eos, pad = self._heard(begin["specials"])
        header = self._heard(begin["header"])
        config: Any = model.config  # its fields have no types
        marks = [
            config.codec_nothink_id, config.codec_think_bos_id, config.codec_think_eos_id, speaker, config.codec_pad_id,
            config.codec_bos_id,
        ]  # fmt: skip
        spoken: torch.Tensor = model.model.codec_embedding(torch.tensor(marks, device=self._device))
        assistant = torch.cat((header, pad.expand(_PADS, -1), bos[None]))
        assistant[len(header) :] += spoken[:-1]
        self.prompt = torch.cat((self._conversation(begin), assistant))
        """`[m + 8, hidden]`: all that is there before the first text."""
        self._opening = spoken[-1]
        self._texts = Texts(eos, pad)

    @property
    def silent(self) -> bool:
        """There is no text, and none will come."""
        return self._texts.silent

    def take(self, chunks: Sequence[Value], *, ended: bool) -> None:
        texts = (text for chunk in chunks if "text" in chunk for text in self._heard(chunk["text"]))
        self._texts.take(texts, ended=ended)

    def first(self) -> torch.Tensor | None:
        """`[1, hidden]`: the last position of the prompt, which has the first text; None: it has not come."""
        first = self._texts.first()
        return None if first is None else (first + self._opening)[None]

    def next(self) -> torch.Tensor | None:
        """`[hidden]`: what is heard beside the next frame; None: it has not come."""
        return self._texts.next()

    def _conversation(self, begin: SpeechBegin) -> torch.Tensor:
        rows, media = self._moved(begin["prompt"]), to_torch(begin["media"]).to(self._device)
        if not media.any():
            return cast(torch.Tensor, self._model.text_projection(rows))
        heard = rows.new_empty((rows.shape[0], self._model.model.codec_embedding.weight.shape[1]))
        heard[media] = self._model.hidden_projection(rows[media])
        heard[~media] = self._model.text_projection(rows[~media])
        return heard

    def _heard(self, value: Value) -> torch.Tensor:
        return cast(torch.Tensor, self._model.text_projection(self._moved(value)))

    def _moved(self, value: Value) -> torch.Tensor:
        return to_torch(value).to(self._device, self._dtype)
