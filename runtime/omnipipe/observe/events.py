"""Request events: one JSON line for each thing that happens to a request in this process.

    events = EventLog(folder, "thinker", every_request=False)   # or NoEvents()
    if events.on or submit.events:           # one attribute check when off
        events.record(request_id, rid, EventName.STAGE_RECEIVED)
    events.flush()                           # the owner, about once a second; close() at the end

The log never blocks serving and never breaks it: the buffer is bounded, what does not fit or cannot be written is
counted in `lost`. It has no thread of its own. `reading` turns the files back into timelines.
"""

import logging
import os
import time
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

__all__ = ["MAX_BUFFERED", "EventLog", "EventName", "Events", "Field", "NoEvents"]

log = logging.getLogger(__name__)

Field = str | int | float | bool | None
"""What may stand in an event beside its name."""

MAX_BUFFERED: Final = 65_536
"""Events held between two flushes, about 20 MB at worst; beyond it they are counted in `lost`."""


class EventName(StrEnum):
    """Everything that is recorded. The fields that go with each stand beside it."""

    REQUEST_ADMITTED = "request_admitted"  # gateway: queue_s
    SUBMITTED = "submitted"  # gateway, each attempt: attempt, walk (stages, comma-separated)
    RETRY = "retry"  # gateway: reason
    FIRST_PIECE = "first_piece"  # gateway, first piece of each output: output
    REQUEST_END = "request_end"  # gateway: outcome
    STAGE_RECEIVED = "stage_received"  # the Submit has come
    STAGE_INPUTS_READY = "stage_inputs_ready"  # all payload inputs are there; the engine gets its Begin
    FIRST_OUTPUT = "first_output"  # the engine's first emission: port
    HOP_SENT = "hop_sent"  # first and last chunk of an edge or output: edge, seq, last, bytes
    HOP_RECEIVED = "hop_received"  # the same, at the consumer: edge, seq, last, bytes
    STAGE_DONE = "stage_done"  # outcome


class Events(Protocol):
    """Real: `EventLog`; off: `NoEvents`."""

    on: bool
    """Every request is recorded. When False, only those that ask (`OmniRequest.events`, `Submit.events`)."""
    lost: int
    """Events that were not written."""

    def record(self, request_id: str, rid: str, name: EventName, **fields: Field) -> None:
        """Notes that this happened now. Cheap, never blocks, never raises."""

    def flush(self) -> None:
        """Writes what is buffered. Call it about once a second from where a short disk write does no harm."""

    def close(self) -> None:
        """Flushes and closes. Idempotent."""


class NoEvents:
    """Off: nothing is recorded, whoever asks."""

    on = False
    lost = 0

    def record(self, request_id: str, rid: str, name: EventName, **fields: Field) -> None:
        return None

    def flush(self) -> None:
        return None

    def close(self) -> None:
        return None


class EventLog:
    """Writes `events_<process>_<pid>.jsonl` in `folder`, which is made at the first flush that has something to write.
    `process` is the stage's name, or `gateway`.

    One thread records; the same one flushes. Times are both wall clock (to compare machines) and monotonic (exact, and
    comparable between processes of one boot, whose id the first line carries).
    """

    def __init__(self, folder: Path, process: str, *, every_request: bool) -> None:
        self.on = every_request
        self.lost = 0
        self.path: Final = folder / f"events_{process}_{os.getpid()}.jsonl"
        self._process = process
        self._buffer: list[tuple[int, int, str, str, EventName, dict[str, Field]]] = []
        self._encode = msgspec.json.Encoder().encode
        self._file: int | None = None
        self._complained = False

    def record(self, request_id: str, rid: str, name: EventName, **fields: Field) -> None:
        if len(self._buffer) >= MAX_BUFFERED:
            self.lost += 1
            return
        self._buffer.append((time.time_ns(), time.monotonic_ns(), request_id, rid, name, fields))

    def flush(self) -> None:
        if not self._buffer:
            return
        taken, self._buffer = self._buffer, []
        lines = b"".join(self._line(event) for event in taken)
        try:
            self._write(lines)
        except OSError as error:
            self._give_up(taken, error)

    def close(self) -> None:
        self.flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, lines: bytes) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._file = os.open(self.path, flags, 0o600)
            head = {"process": self._process, "pid": os.getpid(), "boot": _boot_id()}
            lines = self._encode(head) + b"\n" + lines
        view = memoryview(lines)
        while view:
            view = view[os.write(self._file, view) :]

    def _give_up(self, taken: list[Any], error: OSError) -> None:
        self.lost += len(taken)
        if not self._complained:
            log.warning("request events are lost: cannot write %s: %s", self.path, error.strerror)
            self._complained = True

    def _line(self, event: tuple[int, int, str, str, EventName, dict[str, Field]]) -> bytes:
        wall_ns, mono_ns, request_id, rid, name, fields = event
        fixed = {"wall_ns": wall_ns, "mono_ns": mono_ns, "request_id": request_id, "rid": rid, "event": name}
        return self._encode(fields | fixed) + b"\n"


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
