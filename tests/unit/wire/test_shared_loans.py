"""Shared memory inside one process: who holds a block, when it comes back, what a wrong descriptor does."""

import os
import struct
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from omnipipe.wire.counters import Counters
from omnipipe.wire.errors import BadMessage
from omnipipe.wire.shm.borrower import Borrower
from omnipipe.wire.shm.exchange import Exchange
from omnipipe.wire.shm.host import announce, find
from omnipipe.wire.shm.loan import DESCRIPTOR, Offer
from omnipipe.wire.shm.ring import Ring
from omnipipe.wire.shm.segment import Segment, SegmentError, is_supported
from omnipipe.wire.value import Tensor

pytestmark = pytest.mark.skipif(not is_supported(), reason="shared memory needs Linux's memfd and pidfd")

ME = os.getpid()
SIZE = 100_000


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring(8 << 20)
    yield ring
    ring.close()


@pytest.fixture
def borrower() -> Iterator[Borrower]:
    borrower = Borrower()
    yield borrower
    borrower.close()


def lend(ring: Ring, fill: int = 7) -> tuple[bytes, Offer]:
    lease = ring.place(memoryview(bytes([fill]) * SIZE))
    assert lease is not None
    made = lease.offer(ME, ME)
    assert made is not None
    return made


def in_use(ring: Ring) -> int:
    ring.reclaim()
    return ring.in_use_bytes


def test_a_loan_lasts_as_long_as_any_view_of_it(ring: Ring, borrower: Borrower) -> None:
    descriptor, _ = lend(ring)
    buffer, lease = borrower.borrow(memoryview(descriptor), SIZE)
    assert buffer.readonly
    array = np.frombuffer(buffer, np.uint8)
    part = array[10:20]
    del buffer, lease, array
    assert in_use(ring) > 0
    assert part.tolist() == [7] * 10
    del part
    assert in_use(ring) == 0


def test_the_lender_lets_go_at_once_and_the_borrower_keeps_it(ring: Ring, borrower: Borrower) -> None:
    descriptor, offer = lend(ring)
    assert in_use(ring) > 0
    taken = borrower.borrow(memoryview(descriptor), SIZE)
    assert not offer.is_open
    offer.withdraw()
    assert in_use(ring) > 0, "a loan that was taken cannot be withdrawn"
    del taken
    assert in_use(ring) == 0


def test_a_loan_that_nobody_took_can_be_withdrawn(ring: Ring, borrower: Borrower) -> None:
    descriptor, offer = lend(ring)
    offer.withdraw()
    assert in_use(ring) == 0
    with pytest.raises(BadMessage, match="withdrawn"):
        borrower.borrow(memoryview(descriptor), SIZE)


def test_a_descriptor_works_once(ring: Ring, borrower: Borrower) -> None:
    descriptor, _ = lend(ring)
    first = borrower.borrow(memoryview(descriptor), SIZE)
    with pytest.raises(BadMessage, match="taken before"):
        borrower.borrow(memoryview(descriptor), SIZE)
    del first
    lend(ring)
    with pytest.raises(BadMessage):
        borrower.borrow(memoryview(descriptor), SIZE)


def test_a_borrower_lends_on_without_copying_and_without_asking(ring: Ring) -> None:
    middle, end = Borrower(), Borrower()
    descriptor, _ = lend(ring)
    buffer, lease = middle.borrow(memoryview(descriptor), SIZE)
    made = lease.offer(ME, ME)
    assert made is not None
    del buffer, lease
    assert in_use(ring) > 0
    taken, last = end.borrow(memoryview(made[0]), SIZE)
    assert bytes(taken[:3]) == b"\7\7\7"
    del taken, last
    assert in_use(ring) == 0
    middle.close()
    end.close()


def test_one_block_serves_several_borrowers_and_then_no_more(ring: Ring) -> None:
    lease = ring.place(memoryview(bytes(SIZE)))
    assert lease is not None
    offers = []
    while made := lease.offer(ME, ME):
        offers.append(made[1])
    assert len(offers) == 5
    for offer in offers:
        offer.withdraw()
    assert in_use(ring) > 0
    del lease, made
    assert in_use(ring) == 0


def test_blocks_of_dead_processes_come_back(ring: Ring) -> None:
    lease = ring.place(memoryview(bytes(SIZE)))
    assert lease is not None
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as peer:
        made = lease.offer(peer.pid, ME)
        del lease
        ring.forget_dead()
        assert ring.in_use_bytes > 0
        peer.kill()
    ring.forget_dead()
    assert made is not None
    assert ring.in_use_bytes == 0


def test_a_full_ring_says_so_and_recovers(ring: Ring) -> None:
    leases = []
    while lease := ring.place(memoryview(bytes(1 << 20))):
        leases.append(lease)
    assert len(leases) == 8
    leases.clear()
    del lease
    assert ring.place(memoryview(bytes(8 << 20))) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": b"x" * 16},
        {"pid": 2**31 - 1},
        {"fd": 100_000},
        {"fd": 0},
        {"index": 2**31},
        {"index": 3},
        {"generation": 9},
        {"first": 0},
        {"first": 1},
        {"first": 200, "last": 255},
        {"last": 255},
        {"first": 40, "last": 40},
    ],
    ids=str,
)
def test_a_wrong_descriptor_is_refused(ring: Ring, borrower: Borrower, change: dict[str, int]) -> None:
    descriptor, _ = lend(ring)
    names = ("nonce", "pid", "fd", "index", "generation", "first", "last")
    fields = dict(zip(names, DESCRIPTOR.unpack(descriptor), strict=True)) | change
    wrong = DESCRIPTOR.pack(*(fields[name] for name in names))
    with pytest.raises((BadMessage, SegmentError)):
        borrower.borrow(memoryview(wrong), SIZE)


def test_more_bytes_than_the_segment_has_are_refused(ring: Ring, borrower: Borrower) -> None:
    descriptor, _ = lend(ring)
    with pytest.raises(BadMessage, match="beyond"):
        borrower.borrow(memoryview(descriptor), 64 << 20)


def test_a_file_that_is_no_segment_is_not_mapped() -> None:
    for name in ("omnipipe", "else"):
        fd = os.memfd_create(name)
        try:
            os.write(fd, struct.pack("<8sQ16s", b"omnipip1", 1 << 20, b"n" * 16) + bytes(4096))
            with pytest.raises(SegmentError):
                Segment.open(ME, fd, b"n" * 16)
        finally:
            os.close(fd)


def test_hosts_are_found_only_on_this_machine(ring: Ring) -> None:
    host = announce(ring.segment, ring.pid)
    place = find(host)
    assert place is not None
    assert (place.pid, place.fd, place.nonce) == (ME, ring.segment.fd, ring.segment.nonce)
    for other in ("", "x", host[1:], "0" + host, host + "00", host.replace(f"/{ME}/", "/-1/"), "a/b/c/1/2/zz"):
        assert find(other) is None


def test_a_tensor_for_several_peers_is_copied_once_and_a_part_of_one_is_not_mistaken_for_it() -> None:
    exchange = Exchange(8 << 20, Counters())
    tensor = Tensor.from_numpy(np.arange(SIZE, dtype=np.uint8))
    offers: list[Offer] = []
    first, second = (exchange.share(tensor, ME, offers) for _ in range(2))
    assert first is not None
    assert second is not None
    assert DESCRIPTOR.unpack(first)[3] == DESCRIPTOR.unpack(second)[3]
    buffer, lease = exchange.borrow(memoryview(first), SIZE)
    exchange.flushed()
    part = exchange.share(Tensor("u8", (50_000,), buffer[1000:51_000], lease), ME, offers)
    assert part is not None
    copy, _ = exchange.borrow(memoryview(part), 50_000)
    assert copy.tobytes() == buffer[1000:51_000].tobytes()
    exchange.close()


def test_an_allocated_tensor_is_filled_in_place() -> None:
    exchange = Exchange(8 << 20, Counters())
    tensor = exchange.allocate("f32", (100, 100), 40_000)
    assert tensor is not None
    tensor.numpy()[:] = 3
    offers: list[Offer] = []
    descriptor = exchange.share(tensor, ME, offers)
    assert descriptor is not None
    buffer, _ = exchange.borrow(memoryview(descriptor), 40_000)
    assert np.frombuffer(buffer, "f4").sum() == 30_000
    exchange.close()
