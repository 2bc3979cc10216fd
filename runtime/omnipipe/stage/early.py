"""What comes before its request, and what comes after its end.

Payloads travel on other connections than the Submit they belong to and may overtake it: `Orphans` keeps them for a
moment. `Tombstones` remember requests that ended before all of their input had come, so that a late payload does not
look like an early one. Both are bounded and pure.
"""

from collections.abc import Iterator
from enum import Enum, auto

from omnipipe.wire.messages import Chunk, Payload
from omnipipe.wire.port import Peer
from omnipipe.wire.value import size_of

__all__ = ["Early", "Grave", "Orphans", "Tombstones"]

Early = tuple[Peer, Payload | Chunk]


class Orphans:
    """Early messages by request, the oldest request given up first."""

    def __init__(self, *, max_messages: int = 4096, max_bytes: int = 64 << 20, max_age_s: float = 5.0) -> None:
        """5 s: a Submit and its first payload are sent within a millisecond of each other; seconds mean that the
        Submit is lost with its gateway."""
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._by_rid: dict[str, tuple[float, list[Early]]] = {}
        self._bytes = 0
        self._messages = 0

    def __len__(self) -> int:
        return self._messages

    def keep(self, peer: Peer, message: Payload | Chunk, now: float) -> list[str]:
        """The requests whose messages had to be given up to make room, this one's perhaps among them."""
        held = self._by_rid.get(message.rid)
        if held is None:
            held = self._by_rid[message.rid] = (now, [])
        held[1].append((peer, message))
        self._messages += 1
        self._bytes += size_of(message.value)
        lost = []
        while self._messages > self._max_messages or self._bytes > self._max_bytes:
            rid = next(iter(self._by_rid))
            self.take(rid)
            lost.append(rid)
        return lost

    def take(self, rid: str) -> list[Early]:
        held = self._by_rid.pop(rid, None)
        if held is None:
            return []
        self._messages -= len(held[1])
        self._bytes -= sum(size_of(message.value) for _, message in held[1])
        return held[1]

    def expire(self, now: float) -> list[str]:
        lost = []
        for rid in self._older_than(now - self._max_age_s):
            self.take(rid)
            lost.append(rid)
        return lost

    def cut_off(self, peer: Peer) -> list[str]:
        """The requests of which this peer had sent a part of a stream and now cannot send the rest."""
        lost = []
        for rid, (_, held) in list(self._by_rid.items()):
            chunks = [message for sender, message in held if sender is peer and isinstance(message, Chunk)]
            if chunks and not any(chunk.last for chunk in chunks):
                self.take(rid)
                lost.append(rid)
        return lost

    def _older_than(self, when: float) -> list[str]:
        old = []
        for rid, (since, _) in self._by_rid.items():
            if since > when:
                break
            old.append(rid)
        return old


class Grave(Enum):
    ENDED = auto()
    """Cancelled or failed: its producers are told by their gateway to stop."""
    SATED = auto()
    """Done without reading all of its stream input: chunks are acknowledged, so that the producer can finish."""


class Tombstones:
    """Ended requests, the oldest forgotten first."""

    def __init__(self, *, max_kept: int = 8192, max_age_s: float = 60.0) -> None:
        """60 s: longer than a message can be on its way between peers that are declared dead after a second; the
        count holds more requests than fail in that time on any machine that still works."""
        self._max_kept = max_kept
        self._max_age_s = max_age_s
        self._graves: dict[str, tuple[float, Grave]] = {}
        self.holds = self._graves.__contains__
        """By rid: it has ended and is remembered."""

    def __len__(self) -> int:
        return len(self._graves)

    def bury(self, rid: str, grave: Grave, now: float) -> None:
        self._graves.pop(rid, None)
        self._graves[rid] = (now, grave)
        if len(self._graves) > self._max_kept:
            del self._graves[next(iter(self._graves))]

    def find(self, rid: str) -> Grave | None:
        found = self._graves.get(rid)
        return found[1] if found else None

    def expire(self, now: float) -> None:
        for rid in list(self._old(now - self._max_age_s)):
            del self._graves[rid]

    def _old(self, when: float) -> Iterator[str]:
        for rid, (since, _) in self._graves.items():
            if since > when:
                return
            yield rid
