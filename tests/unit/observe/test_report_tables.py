"""The tables of `omnipipe profile`: what they add up to, and how they are set."""

import json

from omnipipe.observe.reading import hops, parse_events, phases, spread
from omnipipe.observe.report import render_report

MS = 1_000_000
Row = tuple[float, str, str, str, dict[str, object]]


def file(process: str, *events: Row, boot: str = "b", wall_ms: float = 0.0) -> bytes:
    """Events as (ms, request id, rid, name, fields); the wall clock runs `wall_ms` ahead for each ms."""
    lines: list[dict[str, object]] = [{"process": process, "pid": 1, "boot": boot}]
    lines += [
        {
            **fields,
            "request_id": request,
            "rid": rid,
            "event": name,
            "mono_ns": int(at * MS),
            "wall_ns": int(at * (1 + wall_ms) * MS) + 10**18,
        }
        for at, request, rid, name, fields in events
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def requests(*lengths_ms: float) -> bytes:
    rows: list[Row] = []
    for number, length in enumerate(lengths_ms):
        begin = 1000.0 * number
        rows.append((begin, f"q{number}", "", "request_admitted", {}))
        rows.append((begin + length, f"q{number}", "", "request_end", {"outcome": "result"}))
    return file("gateway", *rows)


def row(text: str, *words: str) -> list[str]:
    """The numbers behind these words."""
    [found] = [line.split() for line in text.splitlines() if line.split()[: len(words)] == list(words)]
    return found[len(words) :]


def test_a_spread_is_of_values_in_any_order() -> None:
    values = spread([3.0, 1.0, 2.0])

    assert (values.count, values.total_s, values.mean_s, values.p50_s, values.p95_s, values.max_s) == (3, 6, 2, 2, 3, 3)


def test_each_phase_has_its_count_its_sum_and_its_spread_in_milliseconds() -> None:
    text = render_report(parse_events([requests(30, 10, 20.5)]))

    assert row(text, "process", "phase") == ["count", "total", "ms", "mean", "p50", "p95", "max"]
    assert row(text, "gateway", "whole", "request") == ["3", "60.5", "20.167", "20.500", "30.000", "30.000"]


def test_columns_are_as_wide_as_their_longest_word_and_rows_in_order() -> None:
    text = render_report(parse_events([
        requests(10),
        file("a-stage-with-a-long-name", (0, "q0", "r", "stage_received", {}), (5, "q0", "r", "stage_done", {})),
        file("b", (0, "q0", "r", "stage_received", {}), (5, "q0", "r", "stage_done", {})),
    ]))  # fmt: skip

    lines = text.splitlines()
    table = lines[lines.index("") + 1 : lines.index("", lines.index("") + 1)]
    assert len({len(line) for line in table}) == 1
    assert [line.split()[0] for line in table] == ["process", "a-stage-with-a-long-name", "b", "gateway"]


def test_lines_that_could_not_be_read_are_told_and_none_are_not() -> None:
    whole = requests(10)

    assert "could not be read" not in render_report(parse_events([whole]))
    assert "1 lines could not be read" in render_report(parse_events([whole + b"{half"]))


def test_between_processes_of_one_machine_its_own_clock_counts_and_else_the_time_of_day() -> None:
    """The wall clock runs twice as fast here: it is being set."""
    edge: dict[str, object] = {"edge": "a>b", "seq": 0}
    for boots, expected in ((("one", "one"), 4.0), (("one", "two"), 8.0), (("", ""), 8.0)):
        sent = file("a", (10, "q", "r", "hop_sent", {**edge, "bytes": 1}), boot=boots[0], wall_ms=1.0)
        received = file("b", (14, "q", "r", "hop_received", edge), boot=boots[1], wall_ms=1.0)
        [hop] = hops(parse_events([sent, received]))
        assert round(hop.seconds * 1e3, 6) == expected


def test_two_attempts_at_a_stage_are_two() -> None:
    events: list[Row] = [
        (0, "q", "r1", "stage_received", {}), (1, "q", "r1", "stage_done", {}),
        (10, "q", "r2", "stage_received", {}), (13, "q", "r2", "stage_done", {}),
    ]  # fmt: skip

    found = phases(parse_events([file("words", *events)]))

    assert sorted(round(phase.seconds * 1e3) for phase in found if phase.name == "whole stage") == [1, 3]
