"""What the shell needs of the half that decides."""

from collections.abc import Callable, Iterable

from omnipipe_operator.observed import Decision, Object, Observed, Ref

__all__ = ["Decide", "Refers"]

Decide = Callable[[Observed], Decision]
Refers = Callable[[Object], Iterable[Ref]]
"""The objects of others that a pipeline refers to, to be read into `Observed.named`."""
