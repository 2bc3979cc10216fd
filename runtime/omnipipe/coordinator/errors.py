"""The words in which a coordinator refuses or gives up on a request.

There is no exception class here: everything it raises is `omnipipe.errors.RequestError`, and the texts live in one
place because clients read them. They name stages, which are in the manifest, and never addresses, peers or exceptions.

RequestError
├── overloaded      429: no slot came free in time, or the queue is full
├── unavailable     503: a needed stage has no replica that takes work
├── replica_lost    503: a replica died and the request could not be run again unseen
├── outputs_lost    as the reason: some outputs of an answer ended early, the others did not
├── draining        503: this process is going away
├── deadline        the request's own time is up
└── misbehaved      500: a stage broke the protocol
"""

from omnipipe.errors import ErrorKind, RequestError

__all__ = ["deadline", "draining", "misbehaved", "outputs_lost", "overloaded", "replica_lost", "unavailable"]


def overloaded(retry_after_s: float) -> RequestError:
    return RequestError(
        ErrorKind.OVERLOADED,
        "This pipeline is working on as many requests as it may; try again in a moment.",
        code="overloaded",
        retry_after_s=retry_after_s,
    )


def unavailable(stage: str, retry_after_s: float) -> RequestError:
    return RequestError(
        ErrorKind.UNAVAILABLE,
        f"Stage '{stage}' has no replica that takes work right now; try again in a moment.",
        code="stage_unavailable",
        retry_after_s=retry_after_s,
    )


def replica_lost(stage: str, retry_after_s: float) -> RequestError:
    return RequestError(
        ErrorKind.UNAVAILABLE,
        f"A replica of stage '{stage}' was lost while it worked on this request.",
        code="replica_lost",
        retry_after_s=retry_after_s,
    )


def outputs_lost(outputs: list[str], why: RequestError) -> RequestError:
    """`why`, as it is told of an answer whose other outputs are complete."""
    named = " and ".join(f"'{name}'" for name in outputs)
    message = f"The output {named} broke off: {why.message}"
    return RequestError(why.kind, message, param=why.param, code=why.code, retry_after_s=why.retry_after_s)


def draining() -> RequestError:
    return RequestError(
        ErrorKind.UNAVAILABLE, "This server is shutting down; try again.", code="draining", retry_after_s=1.0
    )


def deadline(timeout_s: float) -> RequestError:
    return RequestError(
        ErrorKind.DEADLINE, f"The request was not finished within its {timeout_s:g} seconds.", code="deadline_exceeded"
    )


def misbehaved(stage: str) -> RequestError:
    return RequestError(ErrorKind.INTERNAL, f"Stage '{stage}' failed.", code="stage_misbehaved")
