"""Which benchmarks run, and how their rows look."""

import pytest
from bench.__main__ import render, select
from bench.row import Row

KNOWN = ["p1_sse", "p3_chain", "soak"]


def test_all_without_names_and_the_named_ones_once() -> None:
    assert select(KNOWN, []) == KNOWN
    assert select(KNOWN, ["soak", "p1", "p1_sse"]) == ["soak", "p1_sse"]


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no benchmark 'p9'; there are p1_sse, p3_chain, soak"):
        select(KNOWN, ["p9"])


def test_the_table_lines_up() -> None:
    rows = [
        Row("P1", "a frame", "12 us", "9 us", 1.333, "<= 10 us", False),
        Row("P3", "a chain", "0.2 ms", "0.1 ms", None, "<= 0.3 ms", True),
    ]
    lines = render(rows).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "1.33" in lines[2]
    assert lines[2].rstrip(" |").endswith("NO")
    assert lines[3].rstrip(" |").endswith("yes")
