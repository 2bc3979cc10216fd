"""Where a prompt's tokens stand, and what the talker hears of it: the turns of the user, told apart by their marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.omni_parts import prompting as parts
from omnipipe.families.omni_parts.asked import Speech
from omnipipe.families.omni_parts.blocks import Block, Plain, Woven
from omnipipe.families.qwen3_omni.positions import cut, rope_positions
from omnipipe.families.qwen3_omni.values import Spoken
from omnipipe.wire.value import Tensor

if TYPE_CHECKING:
    import numpy.typing as npt

    Tokens = npt.NDArray[np.int64]

__all__ = ["Prompter"]

_TALKER_HEADER: Final = 9
"""Positions of the talker's own: three of the assistant's header, four of padding, the beginning, the first text."""


@dataclass(frozen=True, slots=True)
class _Turns:
    """Tokens that tell turns apart."""

    im_start: int
    user: int
    assistant: int


class Prompter(parts.Prompter):
    def __init__(self, processor: Any, config: Any, template: str | None = None) -> None:
        super().__init__(processor, config, template)
        self._turns = _Turns(config.im_start_token_id, config.user_token_id, config.assistant_token_id)

    def _positions(self, blocks: Sequence[Block]) -> parts.Positions:
        return rope_positions(blocks)

    def _spoken(self, speech: Speech, laid: parts.Laid, start: int) -> Spoken:
        tokens = np.array(laid.tokens)
        heard = self._heard(tokens)
        spoken: Spoken = {
            "voice": speech.voice.lower(),
            "rows": Tensor.from_numpy(np.flatnonzero(heard).astype(np.int32)),
            "header": self._header(tokens),
            "options": parts.talker_options(speech),
        }
        blocks = cut(laid.blocks, heard)
        if any(not isinstance(block, Plain) for block in blocks):
            spoken["positions"] = Tensor.from_numpy(rope_positions([*map(_unwoven, blocks), Plain(_TALKER_HEADER)]))
        return spoken

    def _heard(self, tokens: "Tokens") -> "npt.NDArray[np.bool_]":
        """Positions of the user's turns, told apart as `generate` does."""
        at = np.arange(tokens.size)
        starts = np.maximum.accumulate(np.where(tokens == self._turns.im_start, at, -1)).clip(0)
        heard: npt.NDArray[np.bool_] = tokens[np.minimum(starts + 1, tokens.size - 1)] == self._turns.user
        return heard

    def _header(self, tokens: "Tokens") -> int:
        found = np.flatnonzero((tokens[:-1] == self._turns.im_start) & (tokens[1:] == self._turns.assistant))
        if not found.size:
            message = "The model's chat template leaves no turn to the assistant here: there is nothing to speak."
            raise RequestError(ErrorKind.UNPROCESSABLE, message, param="messages")
        return int(found[-1])


def _unwoven(block: Block) -> Block:
    """The talker is not told that sound and pictures belong together: to it they stand one after the other."""
    return Plain(block.size) if isinstance(block, Woven) else block
