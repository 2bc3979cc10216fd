"""The picture of one request, line by line, as `omnipipe profile` prints it."""

import json

from omnipipe.observe.reading import Moment, parse_events
from omnipipe.observe.report import render_timeline

MS = 1_000_000


def moments(*rows: tuple[str, str, float, float, dict[str, object]], boots: tuple[str, ...] = ()) -> list[Moment]:
    """(process, event, monotonic ms, wall ms, fields) of request q1."""
    files = []
    for number, (process, event, mono, wall, fields) in enumerate(rows):
        head = {"process": process, "pid": number, "boot": boots[number] if boots else "b"}
        line = {"wall_ns": int(wall * MS), "mono_ns": int(mono * MS), "request_id": "q1", "rid": "r", "event": event}
        files.append(f"{json.dumps(head)}\n{json.dumps(fields | line)}\n".encode())
    return list(parse_events(files).timeline("q1"))


def test_a_mark_stands_where_the_event_was_between_the_first_and_the_last() -> None:
    text = render_timeline(
        moments(
            ("gateway", "request_admitted", 100, 5000, {"queue_s": 0.5}),
            ("words", "stage_done", 105, 5005, {}),
            ("gateway", "request_end", 110, 5010, {"outcome": "result"}),
        )
    )

    assert text == (
        "request q1, 10.000 ms\n"
        f"     0.000 ms  █{'·' * 39}  gateway  request_admitted queue_s=0.5\n"
        f"     5.000 ms  {'·' * 20}█{'·' * 19}  words    stage_done\n"
        f"    10.000 ms  {'·' * 39}█  gateway  request_end outcome=result\n"
    )


def test_one_event_is_a_picture_too_and_none_is_none() -> None:
    assert render_timeline([]) == ""
    [one] = moments(("gateway", "request_admitted", 1, 1, {}))
    assert render_timeline([one]).count("█") == 1


def test_machines_are_compared_by_the_time_of_day_and_processes_of_one_machine_by_its_own_clock() -> None:
    """The wall clock of a machine may be set while a request runs."""
    rows = (
        ("gateway", "request_admitted", 100.0, 5000.0, dict[str, object]()),
        ("words", "stage_done", 104.0, 5008.0, dict[str, object]()),
    )

    assert "  4.000 ms" in render_timeline(moments(*rows))
    assert "  8.000 ms" in render_timeline(moments(*rows, boots=("one", "another")))
    assert "  8.000 ms" in render_timeline(moments(*rows, boots=("", "")))
