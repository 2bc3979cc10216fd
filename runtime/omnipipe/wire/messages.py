"""The vocabulary: every message that crosses a process border, nothing else.

A packet on the socket is frame 0, a msgpack array of these structs, and raw buffer frames that tensors refer to.
All messages that one poll cycle has for one peer travel in one packet. Structs are arrays on the wire: append fields
with defaults, never reorder, and bump `WIRE_VERSION` when an old peer could misread.

Who sends what:

    dialler -> listener    Hello, Submit, Cancel, Ack (gateway); Hello, Payload, Chunk (upstream stage)
    listener -> dialler    Welcome | Refuse, Beat; Output, Fed, Failed (to a gateway); Ack (to an upstream stage)
    both                   Beat

`Hello`, `Welcome`, `Refuse` and `Beat` are the wire's own business: a Wire consumes them and shows their meaning as
events. What its users see is everything else, plus a listener's `Beat` as a load report.
"""

from typing import Literal

import msgspec

from omnipipe.wire.value import Value

__all__ = [
    "WIRE_VERSION",
    "Ack",
    "Beat",
    "Cancel",
    "Chunk",
    "Failed",
    "Fed",
    "Hello",
    "Message",
    "Output",
    "Payload",
    "Refuse",
    "Submit",
    "Welcome",
]

WIRE_VERSION = 3

Name = str
"""A stage, port, input or output name."""


class _Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The common options of all messages."""


class Hello(_Message, frozen=True, tag="hello"):
    """First message on a connection. A listener answers nothing else before it."""

    wire: int
    pipeline: str
    stage: str
    """The stage the dialler believes it is talking to."""
    revision: str
    peer: str
    """Unique for the life of the dialling process, e.g. `gateway-3f2a…` or `thinker-0-91c2…`."""
    role: Literal["gateway", "stage"]
    host: str
    """Where the dialler's shared memory is (see `shm.host`): the listener tries to map it before it agrees to "shm".
    Empty: shared memory is not offered."""
    own_stage: str = ""
    """The stage that the dialler is a replica of; empty for a gateway."""


class Welcome(_Message, frozen=True, tag="welcome"):
    wire: int
    peer: str
    transport: Literal["inline", "shm"]
    """How large tensors travel on this connection, both ways."""
    host: str = ""
    """With "shm": where the listener's shared memory is."""


class Refuse(_Message, frozen=True, tag="refuse"):
    """The listener will not talk to this dialler; `reason` says which side to upgrade or correct. After `Welcome`: the
    listener has given this connection up (the dialler was silent or stalled), so dial again."""

    reason: str


class Beat(_Message, frozen=True, tag="beat"):
    """Sign of life and load report, both ways. The dialler's carries zeros."""

    progress: int = 0
    """Engine steps so far: a living socket over a dead engine shows as `running > 0` and no progress."""
    step_s: float = 0.0
    """How long the current engine step has been running."""
    queued: int = 0
    running: int = 0
    accepting: bool = True
    """False while loading or draining."""
    received: int = 0
    """What the sender of this Beat has read from this connection so far (see `connection.cost`): the other side's
    window moves by it. Not part of the load report."""


class Submit(_Message, frozen=True, tag="submit"):
    """The gateway tells each stage of the walk its own part of a request, before or after the first payload."""

    rid: str
    """Unique for one attempt of one request: a retry has another."""
    request_id: str
    """What the client and the logs call it; the same for all attempts."""
    ttl_s: float
    """Time left until the request's deadline."""
    sources: dict[Name, str]
    """Upstream stage whose edge into this one is active in this walk -> name (`Welcome.peer`) of the replica that was
    chosen for this request. Nobody else's data is taken, and its loss is known at once."""
    targets: dict[Name, str]
    """Downstream stage -> address of the replica that was chosen for this request."""
    outputs: list[Name]
    """Pipeline outputs that this stage owes the gateway."""
    params: Value = None
    """This stage's `stage_params`."""
    value: Value = None
    """The request itself, for entry stages (those without `sources`); None elsewhere."""
    events: bool = False
    """Record request events for this request."""


class Cancel(_Message, frozen=True, tag="cancel"):
    rid: str
    reason: str = ""
    target: Name = ""
    """Not the request but its edges to this downstream stage: what they lead to is given up, the rest goes on."""


class Payload(_Message, frozen=True, tag="payload"):
    """The one whole value of a payload edge."""

    rid: str
    source: Name
    input: Name
    value: Value


class Chunk(_Message, frozen=True, tag="chunk"):
    """One piece of a stream edge. `seq` counts from 0 without gaps."""

    rid: str
    source: Name
    input: Name
    seq: int
    value: Value
    last: bool = False


class Ack(_Message, frozen=True, tag="ack"):
    """The consumer has room again: everything up to and including `seq` is consumed. Cumulative, so a late one is
    harmless. `name` is the `input` of a Chunk or the `output` of an Output."""

    rid: str
    name: Name
    seq: int


class Output(_Message, frozen=True, tag="output"):
    """One piece of a pipeline output, to the gateway that submitted the request."""

    rid: str
    output: Name
    seq: int
    value: Value
    last: bool = False
    meta: Value = None
    """With `last`: what the output ended with, e.g. `{"finish_reason": "stop", "usage": {...}}`."""
    fed: bool = False
    """As if a `Fed` of this stage came with it."""


class Fed(_Message, frozen=True, tag="fed"):
    """`stage` has received all its inputs for `rid`: its upstream replicas may die without harm to this request.

    Not said where something else says as much: an `Output` with `fed`, or the `Fed` of the stages that this one has
    sent all it had to, when they take nothing from anybody else."""

    rid: str
    stage: Name


class Failed(_Message, frozen=True, tag="failed"):
    """The request ended in an error at `stage`, which has already freed it (but see `target`)."""

    rid: str
    stage: Name
    kind: str
    """An `omnipipe.errors.ErrorKind`."""
    message: str
    """Shown to the client: no internals."""
    retryable: bool = False
    """True when another attempt may succeed (a downstream replica was lost, not the request's fault)."""
    param: str | None = None
    code: str | None = None
    target: Name = ""
    """`stage` has lost the replica of this downstream stage and goes on without it: the request has not ended there."""


Message = Hello | Welcome | Refuse | Beat | Submit | Cancel | Payload | Chunk | Ack | Output | Fed | Failed
