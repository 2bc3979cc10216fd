"""Two spellings of one token would be one bias, and which of the two is nobody's guess."""

import msgspec
import pytest

from omnipipe.errors import RequestError
from omnipipe.families.llm.asked import Options
from omnipipe.families.llm.checks import check_options


def options(bias: dict[str, int]) -> Options:
    return msgspec.convert({"logit_bias": bias}, Options)


def test_a_token_that_is_named_twice_is_refused() -> None:
    with pytest.raises(RequestError) as caught:
        check_options(options({"7": 1, "5": 10, "05": -10}))
    assert caught.value.param == "logit_bias"
    assert caught.value.message == "'logit_bias' has two keys for token 5: '5' and '05'. Give one of them."


def test_a_token_that_is_named_once_may_have_leading_zeros() -> None:
    check_options(options({"05": 1, "50": 2, "0": 3}))
