"""Everything a wire does with shared memory, behind one object: offer it at Hello, lend, borrow, tidy up."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from omnipipe.wire.counters import Counters
from omnipipe.wire.shm.borrower import Borrower, exporter
from omnipipe.wire.shm.host import announce, find
from omnipipe.wire.shm.loan import Lease, Offer
from omnipipe.wire.shm.ring import Ring
from omnipipe.wire.shm.segment import SegmentError, is_supported
from omnipipe.wire.value import Tensor

__all__ = ["Exchange", "open_exchange"]

_WITHDRAW_AFTER_S: Final = 10.0
"""After a connection ended, before loans that nobody took are withdrawn: a peer that is merely slow may be just about
to read its last messages."""


class Exchange:
    """One a wire, used from its thread."""

    def __init__(self, capacity_bytes: int, counters: Counters) -> None:
        self._ring: Final = Ring(capacity_bytes)
        self._borrower: Final = Borrower()
        self._counters = counters
        self._placed: dict[int, tuple[Tensor, Lease]] = {}
        """What was copied since the last flush: a tensor that goes to several peers is copied once."""
        self._to_withdraw: deque[tuple[float, Iterable[Offer]]] = deque()
        self.host: Final = announce(self._ring.segment, self._ring.pid)
        self.borrow: Final = self._borrower.borrow

    def reach(self, host: str) -> int | None:
        """The pid of the peer that announced `host`, once its memory is mapped here; None: inline with that one."""
        place = find(host)
        if place is None:
            return None
        try:
            self._borrower.map(place.pid, place.fd, place.nonce)
        except SegmentError:
            return None
        return place.pid

    def share(self, tensor: Tensor, borrower: int, offers: list[Offer]) -> bytes | None:
        """The descriptor under which process `borrower` finds the tensor; None when there is no room."""
        lease = tensor.lease
        made = None
        if isinstance(lease, Lease) and lease.nbytes == tensor.data.nbytes:
            made = lease.offer(borrower, self._ring.pid)
        if made is None:
            placed = self._placed.get(id(tensor))
            if placed is None:
                copy = self._ring.place(tensor.data)
                if copy is None:
                    self._counters.shm_full += 1
                    return None
                placed = self._placed[id(tensor)] = (tensor, copy)
            made = placed[1].offer(borrower, self._ring.pid)
            if made is None:
                return None
        offers.append(made[1])
        self._counters.shm_bytes_lent += tensor.data.nbytes
        self._counters.shm_bytes_in_use = self._ring.in_use_bytes
        return made[0]

    def allocate(self, dtype: str, shape: tuple[int, ...], nbytes: int) -> Tensor | None:
        """A tensor of our own to fill, whose sending costs no copy; None when there is no room."""
        lease = self._ring.reserve(nbytes)
        if lease is None:
            return None
        self._counters.shm_bytes_in_use = self._ring.in_use_bytes
        return Tensor(dtype, shape, exporter(lease), lease)

    def flushed(self) -> None:
        if self._placed:
            self._placed.clear()

    def withdraw_later(self, now: float, offers: Iterable[Offer]) -> None:
        self._to_withdraw.append((now + _WITHDRAW_AFTER_S, offers))

    def tidy(self, now: float) -> None:
        """About once a second."""
        while self._to_withdraw and self._to_withdraw[0][0] <= now:
            for offer in self._to_withdraw.popleft()[1]:
                offer.withdraw()
        self._ring.forget_dead()
        self._borrower.forget_gone()
        self._counters.shm_bytes_in_use = self._ring.in_use_bytes

    def close(self) -> None:
        self._placed.clear()
        self._ring.close()
        self._borrower.close()


def open_exchange(capacity_bytes: int, counters: Counters) -> Exchange | None:
    """None where shared memory does not exist or cannot be made: tensors travel in the messages."""
    if not is_supported():
        return None
    try:
        exchange = Exchange(capacity_bytes, counters)
    except OSError:
        return None
    return exchange
