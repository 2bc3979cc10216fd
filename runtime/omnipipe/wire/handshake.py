"""Who may talk to whom, and what each may say: the checks at `Hello` and on every message after it.

Pure functions; both the real and the fake wire use them. They must not know sockets.
"""

from typing import Final

from omnipipe.wire.errors import BadMessage
from omnipipe.wire.messages import (
    WIRE_VERSION,
    Ack,
    Beat,
    Cancel,
    Chunk,
    Failed,
    Fed,
    Hello,
    Message,
    Output,
    Payload,
    Submit,
)
from omnipipe.wire.port import Identity, Role

__all__ = ["FROM_GATEWAY", "FROM_LISTENER", "FROM_UPSTREAM", "check_direction", "hello", "refusal"]

FROM_GATEWAY: Final[frozenset[type]] = frozenset({Submit, Cancel, Ack, Beat})
FROM_UPSTREAM: Final[frozenset[type]] = frozenset({Payload, Chunk, Beat})
FROM_LISTENER: Final[frozenset[type]] = frozenset({Output, Fed, Failed, Ack, Beat})


def hello(identity: Identity, stage: str, host: str) -> Hello:
    """What a dialler says first. `host` is empty when it cannot share memory."""
    return Hello(
        wire=WIRE_VERSION,
        pipeline=identity.pipeline,
        stage=stage,
        revision=identity.revision,
        peer=identity.peer,
        role=identity.role.value,
        host=host,
        own_stage=identity.stage,
    )


def refusal(said: Hello, mine: Identity) -> str | None:
    """Why a listener will not talk to this dialler, in words that say which side to change; None: welcome."""
    if said.wire != WIRE_VERSION:
        older = "dialling" if said.wire < WIRE_VERSION else "listening"
        return (
            f"wire version {said.wire} dialled a stage that speaks {WIRE_VERSION}: upgrade the {older} side "
            f"({said.peer if older == 'dialling' else mine.peer})"
        )
    if said.pipeline != mine.pipeline:
        return (
            f"this is pipeline {mine.pipeline!r}, not {said.pipeline!r}: correct the address that {said.peer} dials, "
            f"or the plan it was started with"
        )
    if said.stage != mine.stage:
        return (
            f"this is stage {mine.stage!r}, not {said.stage!r}: correct the address of {said.stage!r} in the plan "
            f"that {said.peer} was started with"
        )
    if said.revision != mine.revision:
        return (
            f"this is revision {mine.revision!r} of pipeline {mine.pipeline!r}, {said.peer} is of revision "
            f"{said.revision!r}: restart whichever has the older plan"
        )
    return None


def check_direction(message: Message, *, dialler: Role | None) -> None:
    """Raises BadMessage unless the sender may say this. `dialler` is the role of the side that dialled, when the
    message comes from it; None when it comes from the side that was dialled."""
    if dialler is None:
        allowed = FROM_LISTENER
    elif dialler is Role.GATEWAY:
        allowed = FROM_GATEWAY
    else:
        allowed = FROM_UPSTREAM
    if type(message) not in allowed:
        sender = "a listener" if dialler is None else f"a dialling {dialler.value}"
        raise BadMessage(f"{type(message).__name__} from {sender}")
