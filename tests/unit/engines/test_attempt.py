"""The boundary of one job, and that of a stage's start: what may pass them, and as what."""

import pytest

from omnipipe.engines.program import attempt


def test_what_is_made_comes_back_as_it_is() -> None:
    assert attempt(divmod, 7, 2) == (3, 1)
    assert attempt(int, "ff", base=16) == 255


def test_what_is_raised_is_the_outcome() -> None:
    error = attempt(int, "no number")
    assert isinstance(error, ValueError)
    assert error.__traceback__ is not None, "the log shows where it was"


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_an_end_of_the_process_is_no_outcome(end: type[BaseException]) -> None:
    def work() -> None:
        raise end

    with pytest.raises(end):
        attempt(work)
