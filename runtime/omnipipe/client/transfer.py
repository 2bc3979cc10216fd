"""One call over httpx, blocking: tries until an answer begins, then its bytes. Its twin is `async_transfer`."""

import time
from collections.abc import Iterator

import httpx

from omnipipe.client.answer import ERROR_BODY_BYTES, read_error, read_request_id
from omnipipe.client.errors import BadAnswer, ClientError
from omnipipe.client.faults import opening_fault, reading_fault
from omnipipe.client.limits import Deadline
from omnipipe.client.retry import Attempts
from omnipipe.client.setup import Call, Setup
from omnipipe.client.watchdog import Watchdog

__all__ = ["Transfer"]


class Transfer:
    """An answer with a good status, being received."""

    def __init__(self, response: httpx.Response, deadline: Deadline) -> None:
        self.response = response
        self._deadline = deadline
        self._watchdog = Watchdog(response, deadline)
        self._received = 0
        self._chunks = response.iter_bytes()

    @classmethod
    def open(cls, http: httpx.Client, setup: Setup, call: Call) -> "Transfer":
        """Raises ClientError when no try succeeds."""
        deadline = Deadline(setup.limits)
        attempts = Attempts(setup.max_retries, deadline)
        while True:
            try:
                return cls._try(http, setup, call, deadline)
            except ClientError as error:
                time.sleep(attempts.pause_s(error))

    @classmethod
    def _try(cls, http: httpx.Client, setup: Setup, call: Call, deadline: Deadline) -> "Transfer":
        request = http.build_request(**setup.request(call, deadline))
        request.stream = _Sent(request, deadline)
        try:
            response = http.send(request, stream=True, follow_redirects=False)
        except httpx.HTTPError as error:
            raise opening_fault(error, setup.base_url, deadline) from error
        transfer = cls(response, deadline)
        if response.is_success:
            return transfer
        with transfer:
            body = transfer.beginning(ERROR_BODY_BYTES)
        raise read_error(response.status_code, response.headers, body)

    @property
    def request_id(self) -> str | None:
        return read_request_id(self.response.headers)

    def next(self) -> bytes | None:
        """What has come; None at the end."""
        self._deadline.left()
        try:
            chunk = next(self._chunks, None)
        except httpx.HTTPError as error:
            raise reading_fault(error, self._deadline, self._received) from error
        if chunk is None:
            self._deadline.left()  # the watchdog's end looks like an end
        else:
            self._received += len(chunk)
        return chunk

    def whole(self, limit: int) -> bytes:
        with self:
            body = self.beginning(limit + 1)
        if len(body) > limit:
            raise BadAnswer(f"the answer is longer than {limit} bytes")
        return body

    def beginning(self, limit: int) -> bytes:
        body = bytearray()
        while len(body) < limit and (chunk := self.next()) is not None:
            body += chunk
        return bytes(body[:limit])

    def close(self) -> None:
        """Before the end: the connection goes with it, so that the server notices at once."""
        self._watchdog.call_off()
        self.response.close()

    def __enter__(self) -> "Transfer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Sent(httpx.SyncByteStream):
    """A request's body under the deadline: to a slow reader each write may take its time, all of them may not."""

    def __init__(self, request: httpx.Request, deadline: Deadline) -> None:
        assert isinstance(request.stream, httpx.SyncByteStream)
        self._body = request.stream
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._body:
            self._deadline.left()
            yield chunk
