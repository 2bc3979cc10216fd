"""The event log: what it writes, and that nothing about its disk can hurt whoever records."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnipipe.observe import events as module
from omnipipe.observe.events import EventLog, EventName, NoEvents


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    made = EventLog(tmp_path / "run", "compose", every_request=True)
    yield made
    made.close()


def lines(log: EventLog) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.path.read_text().splitlines()]


def test_a_head_and_a_line_for_each_event(log: EventLog) -> None:
    log.record("req-1", "rid-1", EventName.STAGE_RECEIVED)
    log.record("req-1", "rid-1", EventName.HOP_SENT, edge="compose>synth", seq=0, last=False)
    log.flush()
    head, first, second = lines(log)
    assert head["process"] == "compose"
    assert first["event"] == "stage_received"
    assert (second["request_id"], second["rid"], second["edge"], second["seq"]) == (
        "req-1",
        "rid-1",
        "compose>synth",
        0,
    )
    assert isinstance(first["mono_ns"], int) and isinstance(second["mono_ns"], int)
    assert first["mono_ns"] <= second["mono_ns"]


def test_a_field_cannot_forge_what_every_line_has(log: EventLog) -> None:
    log.record("req-1", "rid-1", EventName.RETRY, event="request_end")
    log.flush()
    assert lines(log)[1]["event"] == "retry"


def test_nothing_is_made_before_there_is_something_to_write(log: EventLog) -> None:
    log.flush()
    assert not log.path.parent.exists()


def test_closing_writes_what_is_left_and_may_be_repeated(log: EventLog) -> None:
    log.record("req-1", "rid-1", EventName.STAGE_DONE)
    log.close()
    log.close()
    assert len(lines(log)) == 2


def test_the_file_is_the_users_own(log: EventLog) -> None:
    log.record("req-1", "rid-1", EventName.STAGE_DONE)
    log.flush()
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


def test_an_unwritable_folder_is_counted_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("not a folder")
    log = EventLog(tmp_path / "file" / "run", "compose", every_request=True)
    for _ in range(3):
        log.record("req-1", "rid-1", EventName.STAGE_DONE)
        log.flush()
    assert log.lost == 3
    assert len(caplog.records) == 1
    log.close()


def test_a_full_disk_is_counted(log: EventLog) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    log.path.parent.mkdir()
    log.path.symlink_to(full)
    log.record("req-1", "rid-1", EventName.STAGE_DONE)
    log.flush()
    assert log.lost == 1


def test_the_buffer_is_bounded(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BUFFERED", 10)
    for _ in range(15):
        log.record("req-1", "rid-1", EventName.STAGE_DONE)
    log.flush()
    assert log.lost == 5
    assert len(lines(log)) == 11


def test_off_is_off() -> None:
    events = NoEvents()
    assert not events.on
    events.record("req-1", "rid-1", EventName.STAGE_DONE)
    events.flush()
    events.close()
