"""From lines back to timelines, phases and hops; and the report of them."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from omnipipe.observe.reading import Recording, hops, parse_events, phases, spread
from omnipipe.observe.report import render_report

MS = 1_000_000


def file(
    process: str, *events: tuple[float, str, str, str, dict[str, object]], boot: str = "b", skew_ms: int = 0
) -> bytes:
    """Events as (ms, request id, rid, name, fields)."""
    head = {"process": process, "pid": 1, "boot": boot}
    rows = [
        fields | {"request_id": request, "rid": rid, "event": name}
        | {"mono_ns": int(at * MS), "wall_ns": int((at + skew_ms) * MS) + 10**18}
        for at, request, rid, name, fields in events
    ]  # fmt: skip
    return "".join(json.dumps(row) + "\n" for row in [head, *rows]).encode()


GATEWAY = file(
    "gateway",
    (0, "q1", "", "request_admitted", {"queue_s": 0.0}),
    (1, "q1", "r1", "submitted", {"attempt": 0}),
    (5, "q1", "r1", "retry", {"reason": "replica_lost"}),
    (6, "q1", "r2", "submitted", {"attempt": 1}),
    (16, "q1", "r2", "first_piece", {"output": "text"}),
    (20, "q1", "", "request_end", {"outcome": "result"}),
)
COMPOSE = file(
    "compose",
    (7, "q1", "r2", "stage_received", {}),
    (9, "q1", "r2", "hop_received", {"edge": "ingest>compose", "seq": 0, "last": True, "bytes": 10}),
    (9, "q1", "r2", "stage_inputs_ready", {}),
    (13, "q1", "r2", "first_output", {"port": "text"}),
    (14, "q1", "r2", "hop_sent", {"edge": "compose>text", "seq": 0, "last": False, "bytes": 4}),
    (18, "q1", "r2", "stage_done", {"outcome": "done"}),
)
INGEST = file("ingest", (8, "q1", "r2", "hop_sent", {"edge": "ingest>compose", "seq": 0, "last": True, "bytes": 10}))


def recording() -> Recording:
    return parse_events([GATEWAY, COMPOSE, INGEST])


def test_a_timeline_is_in_order_over_processes() -> None:
    moments = recording().timeline("q1")
    assert [m.mono_ns for m in moments] == sorted(m.mono_ns for m in moments)
    assert [m.process for m in moments[:6]] == ["gateway"] * 4 + ["compose", "ingest"]


def test_phases_count_from_the_attempt_that_succeeded() -> None:
    found = {(p.process, p.name): round(p.seconds * 1e3) for p in phases(recording())}
    assert found == {
        ("gateway", "whole request"): 20,
        ("gateway", "admitted to submitted"): 1,
        ("gateway", "submitted to first piece"): 10,
        ("gateway", "first piece to end"): 4,
        ("compose", "whole stage"): 11,
        ("compose", "submit to inputs ready"): 2,
        ("compose", "inputs ready to first output"): 4,
        ("compose", "first output to done"): 5,
    }


def test_hops_are_matched_end_to_end_outputs_too() -> None:
    found = {hop.edge: (round(hop.seconds * 1e3), hop.nbytes) for hop in hops(recording())}
    assert found == {"ingest>compose": (1, 10), "compose>text": (2, 4)}


def test_between_machines_the_wall_clock_counts() -> None:
    far = file("ingest", (5000, "q1", "r2", "hop_sent", {"edge": "ingest>compose", "seq": 0}), boot="c", skew_ms=-4992)
    (hop,) = hops(parse_events([COMPOSE, far]))
    assert round(hop.seconds * 1e3) == 1


def test_a_line_cut_short_is_counted_and_passed_over() -> None:
    found = parse_events([COMPOSE[:-20], GATEWAY])
    assert found.skipped == 1
    assert len(found.moments) == 11


@given(st.binary(max_size=200), st.integers(0, len(COMPOSE)))
def test_no_bytes_can_break_the_reader(junk: bytes, cut: int) -> None:
    render_report(parse_events([COMPOSE[:cut] + junk, junk, GATEWAY]))


def test_spread_of_values_that_were_seen() -> None:
    values = spread([float(n) for n in range(1, 101)])
    assert (values.count, values.p50_s, values.p95_s, values.max_s) == (100, 51, 96, 100)
    assert spread([3.0]).p95_s == 3


def test_the_report_names_stages_hops_and_the_slowest_request() -> None:
    slow = file("gateway", (0, "q2", "", "request_admitted", {}), (500, "q2", "", "request_end", {"outcome": "error"}))
    text = render_report(parse_events([GATEWAY, COMPOSE, INGEST, slow]))
    assert "2 requests" in text
    assert re.search(r"^compose +inputs ready to first output +1 +4\.0 ", text, re.MULTILINE)
    assert "ingest>compose" in text
    assert "request q2, 500.000 ms" in text


def test_an_empty_folder_is_a_report_too() -> None:
    assert render_report(parse_events([])).startswith("0 requests")
