"""Waits for many descriptors and a wake-up at once; is itself a descriptor that an event loop can watch."""

import os
import select
import selectors
import threading
from collections.abc import Callable

__all__ = ["Waiter"]


class Waiter:
    """`wake` is safe from any thread and from signal handlers, the rest is for one thread."""

    def __init__(self) -> None:
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._selector = None if self._epoll is not None else selectors.DefaultSelector()
        self._callbacks: dict[int, Callable[[], None]] = {}
        if hasattr(os, "eventfd"):
            self._wake_read = self._wake_write = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self._wake_read, self._wake_write = os.pipe()
            os.set_blocking(self._wake_read, False)
            os.set_blocking(self._wake_write, False)
        self._closing = threading.RLock()  # re-entrant: a signal handler may wake us inside close
        self._closed = False
        self.add(self._wake_read, self._woken)
        self.woken = False
        """Set by a wake-up; whoever looks at it clears it."""

    def fileno(self) -> int:
        selector = self._epoll if self._epoll is not None else self._selector
        assert selector is not None
        return int(selector.fileno())

    def add(self, fd: int, callback: Callable[[], None]) -> None:
        """`callback` runs whenever `fd` is readable."""
        self._callbacks[fd] = callback
        if self._epoll is not None:
            self._epoll.register(fd, select.EPOLLIN)
        elif self._selector is not None:
            self._selector.register(fd, selectors.EVENT_READ)

    def watch_room(self, fd: int, watch: bool) -> None:
        """Whether the callback runs also while there is room to write."""
        if self._epoll is not None:
            self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT if watch else select.EPOLLIN)
        elif self._selector is not None:
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.modify(fd, both if watch else selectors.EVENT_READ)

    def remove(self, fd: int) -> None:
        """Before the descriptor is closed."""
        if self._callbacks.pop(fd, None) is None:
            return
        if self._epoll is not None:
            self._epoll.unregister(fd)
        elif self._selector is not None:
            self._selector.unregister(fd)

    def wait(self, timeout_s: float) -> list[int]:
        """Waits at most this long; returns what is ready, for `run`."""
        if self._epoll is not None:
            return [fd for fd, _ in self._epoll.poll(timeout_s)]
        assert self._selector is not None
        return [key.fd for key, _ in self._selector.select(timeout_s)]

    def run(self, ready: list[int]) -> None:
        for fd in ready:
            callback = self._callbacks.get(fd)  # none when an earlier callback closed it
            if callback is not None:
                callback()

    def wake(self) -> None:
        with self._closing:
            if not self._closed:
                try:
                    os.write(self._wake_write, b"\1\0\0\0\0\0\0\0")
                except BlockingIOError:
                    pass  # it is awake already

    def close(self) -> None:
        with self._closing:
            if self._closed:
                return
            self._closed = True
            for fd in {self._wake_read, self._wake_write}:
                os.close(fd)
            if self._epoll is not None:
                self._epoll.close()
            elif self._selector is not None:
                self._selector.close()

    def _woken(self) -> None:
        self.woken = True
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass
