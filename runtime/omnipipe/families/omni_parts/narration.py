"""What a thinker hands the talker as it writes: each family's own, told of every token through this."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch

from omnipipe.engines.autoregressive.program import End, Hidden
from omnipipe.engines.program import Emit

__all__ = ["Narration"]


class Narration(ABC):
    """One request's."""

    @property
    @abstractmethod
    def listens(self) -> Hidden:
        """Whose hidden states it needs."""

    def opening(self) -> Sequence[Emit]:
        """What can be said before anything is computed."""
        return ()

    @abstractmethod
    def hear(self, states: torch.Tensor) -> Sequence[Emit]:
        """`[n, hidden]`: the hidden states of the next positions that it needs."""

    @abstractmethod
    def say(self, row: torch.Tensor, *, holding: bool) -> Sequence[Emit]:
        """`row`: `[1, hidden]`, the embedding of a new token. `holding`: it may yet turn out not to be spoken."""

    @abstractmethod
    def skip(self) -> Sequence[Emit]:
        """The newest token is not to be heard, nor are those before it of which that was not known yet."""

    @abstractmethod
    def verbatim(self) -> Emit:
        """All there is to say of a prompt whose end is to be spoken as it stands."""

    @abstractmethod
    def finish(self, end: End, *, cut: bool) -> Emit:
        """`cut`: what waits is not said: it is a stop string, or no content."""
