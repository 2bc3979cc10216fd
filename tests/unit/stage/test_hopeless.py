"""Which failed starts are tried again."""

import pytest

from omnipipe.engines.autoregressive.errors import UnsupportedModel
from omnipipe.engines.errors import LoadingError
from omnipipe.stage.hopeless import hopeless
from omnipipe.weights.errors import AccessDenied, BrokenModel, HubUnreachable, ModelNotFound, NoSpace


def because(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'nothing'"),
        SyntaxError("invalid syntax"),
        AttributeError("module 'x' has no attribute 'Y'"),
        TypeError("Y.__init__() takes 1 positional argument but 2 were given"),
        FileNotFoundError(2, "No such file or directory"),
        LoadingError("m: 3 tensors missing"),
        because(LoadingError("config.json is not JSON"), ValueError("line 1")),
        UnsupportedModel("its attention is of a kind that cannot run here"),
        ModelNotFound("no model there"),
        AccessDenied("a token is needed"),
        BrokenModel("no weights"),
    ],
    ids=repr,
)
def test_what_is_wrong_stays_wrong(error: BaseException) -> None:
    assert hopeless(error)


@pytest.mark.parametrize(
    "error",
    [
        OSError("the weights are not there"),
        TimeoutError("no answer"),
        ConnectionResetError(104, "reset"),
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
        because(LoadingError("m does not fit into the device's memory"), RuntimeError("CUDA out of memory")),
        because(LoadingError("m cannot be loaded: i/o error"), OSError(5, "Input/output error")),
        HubUnreachable("no answer"),
        NoSpace("too large"),
        ValueError("who knows"),
    ],
    ids=repr,
)
def test_what_may_pass_is_tried_again(error: BaseException) -> None:
    assert not hopeless(error)
