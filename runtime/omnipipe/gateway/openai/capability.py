"""What a model can be asked for, by route."""

from typing import Final

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.requests import Capability
from omnipipe.gateway.served import Served

__all__ = ["require"]

_KINDS: Final[dict[Capability, tuple[str, str]]] = {
    "chat": ("a chat model", "/v1/chat/completions"),
    "completion": ("a completion model", "/v1/completions"),
    "speech": ("a speech model", "/v1/audio/speech"),
    "embed": ("an embedding model", "/v1/embeddings"),
    "tokenize": ("a model that shows its tokens", "/tokenize"),
}


def require(capability: Capability, served: Served, where: str = "", instead: str = "") -> None:
    """Raises RequestError when the model cannot do what this route is for. `where` in place of the usual route, and
    `instead` before the routes that may have been meant."""
    has = served.requests.capabilities
    if capability in has:
        return
    kind, path = _KINDS[capability]
    others = [route for name, (_, route) in _KINDS.items() if name in has and name != "tokenize"]
    others = [instead, *others] if instead else others
    hint = f" Did you mean to use {' or '.join(others)}?" if others else ""
    raise RequestError(
        ErrorKind.INVALID,
        f"The model `{served.name}` is not {kind} and thus not supported in the {where or path} endpoint.{hint}",
        param="model",
        code="model_not_supported",
    )
