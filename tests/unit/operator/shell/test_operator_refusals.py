"""What the API server refuses, as people read it in a condition or a log line."""

import pytest

from omnipipe_operator.cluster.errors import Unavailable
from omnipipe_operator.cluster.kinds import POD
from omnipipe_operator.cluster.refusals import error_of, watch_error


def said(body: bytes) -> str:
    return str(error_of(422, body, None, "patch", POD, "/x")).removeprefix("cannot patch pods (/x): ")


def test_a_watch_that_breaks_without_a_code_is_tried_again() -> None:
    error = watch_error(POD, {"kind": "Status", "message": "etcd is away"})

    assert isinstance(error, Unavailable)
    assert error.code == 500
    assert str(error).startswith("cannot watch pods (stream): ")
    assert "etcd is away" in str(error)


def test_words_fit_into_a_condition() -> None:
    longest = "x" * 1024

    assert said(f'{{"message": "{longest}"}}'.encode()) == longest
    assert said(f'{{"message": "{longest}y"}}'.encode()) == f"{longest}..."


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"upstream says no\n", "upstream says no"),
        (b"caf\xe9", "caf�"),
        (b'"no luck"', "no luck"),
        (b'["no luck"]', "['no luck']"),
        (b'{"code": 422}', "HTTP 422"),
        (b"", "HTTP 422"),
    ],
)
def test_what_is_no_status_object_is_told_as_it_is(body: bytes, words: str) -> None:
    """As a proxy in front of the API server answers."""
    assert said(body) == words
