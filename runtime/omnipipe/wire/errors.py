"""Errors of the wire.

WireError
├── BadMessage      bytes that are not a message of ours: counted, logged, dropped; never the end of a process
├── PeerLost        the peer is gone, refused us, or cannot take more: what was meant for it did not arrive
└── TooBig          a message of ours exceeds `max_message_bytes`: the sender's bug or an over-long value
"""

from omnipipe.errors import OmnipipeError

__all__ = ["BadMessage", "PeerLost", "TooBig", "WireError"]


class WireError(OmnipipeError):
    """The root of the wire's errors."""


class BadMessage(WireError):
    """Bytes from a peer that are not a message of ours."""


class PeerLost(WireError):
    """The peer cannot be reached any more; `reason` is for logs and request errors."""


class TooBig(WireError):
    """A message that would exceed the limit the peers agreed on."""
