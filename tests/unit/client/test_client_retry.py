"""Which failures are tried again, and after how long."""

import pytest

from omnipipe.client.answer import read_error
from omnipipe.client.errors import ClientError, ConnectionFailed, RateLimited, ServerError
from omnipipe.client.limits import Deadline, TimeLimits
from omnipipe.client.retry import Attempts, retry_after_s


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def attempts(max_retries: int = 2, total: float | None = None, draw: float = 0.0) -> Attempts:
    return Attempts(max_retries, Deadline(TimeLimits(total=total), Clock()), lambda: draw)


def busy(retry_after: float | None = None) -> RateLimited:
    return RateLimited("busy", status=429, retry_after_s=retry_after, retryable=True)


def test_pauses_grow_up_to_a_bound_and_are_spread() -> None:
    tries = attempts(max_retries=6)
    assert [tries.pause_s(busy()) for _ in range(6)] == [0.5, 1, 2, 4, 8, 8]
    assert attempts(draw=1.0).pause_s(busy()) == 0.625


def test_the_server_says_how_long_and_is_not_asked_sooner() -> None:
    assert attempts().pause_s(busy(3)) == 3
    assert attempts(draw=1.0).pause_s(busy(3)) == 3.75
    assert attempts().pause_s(busy(86400)) == 60


def test_so_many_tries_and_no_more() -> None:
    tries, error = attempts(max_retries=1), ConnectionFailed("no", retryable=True)
    tries.pause_s(error)
    with pytest.raises(ConnectionFailed) as caught:
        tries.pause_s(error)
    assert caught.value is error


@pytest.mark.parametrize("error", [ConnectionFailed("lost"), ServerError("no", status=500), ClientError("what")])
def test_what_the_server_may_have_begun_with_is_not_tried_again(error: ClientError) -> None:
    with pytest.raises(ClientError):
        attempts().pause_s(error)


def test_no_pause_goes_past_the_deadline() -> None:
    with pytest.raises(RateLimited):
        attempts(total=5).pause_s(busy(5))
    assert attempts(total=5).pause_s(busy(4)) == 4


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        (
            {"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"},
            30,
        ),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


@pytest.mark.parametrize(
    ("status", "headers", "retryable"),
    [(429, {}, True), (503, {}, True), (500, {}, False), (504, {}, False), (503, {"x-should-retry": "false"}, False)],
)
def test_only_refusals_to_begin_are_tried_again(status: int, headers: dict[str, str], retryable: bool) -> None:
    assert read_error(status, headers, b"").retryable is retryable
