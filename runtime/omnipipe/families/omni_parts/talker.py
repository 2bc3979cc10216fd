"""What talkers have in common: the text that comes bit by bit to be heard, and how codes are drawn."""

from collections import deque
from collections.abc import Iterable

import torch

from omnipipe.engines.autoregressive.program import Sampling
from omnipipe.families.omni_parts.values import TalkerOptions

__all__ = ["Texts", "sampling_of"]


class Texts:
    """Of one request: `[hidden]` each. `end` is heard once behind them, and then `nothing` for as long as it speaks."""

    def __init__(self, end: torch.Tensor, nothing: torch.Tensor) -> None:
        self._end = end
        self._nothing = nothing
        self._texts: deque[torch.Tensor] = deque()
        self._ended = False
        self._told = False
        """The talker knows that the text has ended."""

    @property
    def silent(self) -> bool:
        """There is no text, and none will come."""
        return self._ended and not self._texts

    def take(self, texts: Iterable[torch.Tensor], *, ended: bool) -> None:
        self._texts.extend(texts)
        self._ended = ended

    def first(self) -> torch.Tensor | None:
        """None: it has not come."""
        return self._texts.popleft() if self._texts else None

    def next(self) -> torch.Tensor | None:
        """What is heard beside the next frame; None: it has not come."""
        if self._texts:
            return self._texts.popleft()
        if not self._ended:
            return None
        if self._told:
            return self._nothing
        self._told = True
        return self._end


def sampling_of(options: TalkerOptions) -> Sampling:
    """`options`: all of them, but for the seed."""
    return Sampling(
        temperature=options["temperature"] if options["do_sample"] else 0.0,
        top_k=options["top_k"],
        top_p=options["top_p"],
        repetition_penalty=options["repetition_penalty"],
        seed=options.get("seed"),
    )
