"""Waiting and waking, with epoll and with what other systems have."""

import os
import select
import selectors
import threading
from collections.abc import Iterator

import pytest

from omnipipe.wire.waiter import Waiter


@pytest.fixture(params=["native", "portable"])
def waiter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiter]:
    if request.param == "portable":
        monkeypatch.delattr(select, "epoll", raising=False)
        monkeypatch.delattr(os, "eventfd", raising=False)
        monkeypatch.setattr(selectors, "DefaultSelector", selectors.SelectSelector)
    waiter = Waiter()
    yield waiter
    waiter.close()
    waiter.close()


def test_wakes_add_up_to_one(waiter: Waiter) -> None:
    for _ in range(3):
        waiter.wake()
    waiter.run(waiter.wait(20))
    assert waiter.woken
    waiter.woken = False
    assert waiter.wait(0) == []


def test_a_thread_can_wake_it(waiter: Waiter) -> None:
    thread = threading.Thread(target=waiter.wake)
    thread.start()
    waiter.run(waiter.wait(20))
    thread.join()
    assert waiter.woken


def test_only_what_is_readable_is_called_and_what_was_removed_is_not(waiter: Waiter) -> None:
    read, write = os.pipe()
    called: list[str] = []
    waiter.add(read, lambda: called.append("read"))
    waiter.run(waiter.wait(0))
    assert called == []
    os.write(write, b"x")
    ready = waiter.wait(20)
    waiter.run(ready)
    assert called == ["read"]
    waiter.remove(read)
    waiter.run(ready)
    waiter.remove(read)
    assert called == ["read"]
    assert waiter.wait(0) == []
    os.close(read)
    os.close(write)


def test_waking_a_closed_one_is_harmless(waiter: Waiter) -> None:
    waiter.close()
    waiter.wake()
