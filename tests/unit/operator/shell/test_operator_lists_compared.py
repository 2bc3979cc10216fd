"""Lists whose items have names are compared by name, others in their order."""

from typing import Any

import pytest

from omnipipe_operator.writes import differences


@pytest.mark.parametrize(
    "items",
    [
        [{"name": "a", "v": 1}, {"name": "a", "v": 2}],  # one name twice is no name
        [{"name": "a", "v": 1}, {"v": 2}],
        [{"name": {"x": 1}, "v": 1}],
        [{"name": 1, "v": 1}, {"name": 2, "v": 2}],
        ["a", "a"],
        [[1], [2]],
    ],
)
def test_a_list_is_as_it_is_and_a_change_in_it_is_seen(items: list[Any]) -> None:
    assert differences({"items": items}, {"items": list(items)}) == []
    assert differences({"items": items}, {"items": items[:-1]}) != []


def test_the_order_counts_where_there_are_no_names() -> None:
    twice = [{"name": "a", "v": 1}, {"name": "a", "v": 2}]

    assert differences({"items": twice}, {"items": twice[::-1]}) == ["items[0].v", "items[1].v"]
    named = [{"name": "a", "v": 1}, {"name": "b", "v": 2}]
    assert differences({"items": named}, {"items": named[::-1]}) == []


def test_quantities_that_are_none_are_not_the_same_for_that() -> None:
    assert differences({"limits": {"cpu": "lots"}}, {"limits": {"cpu": "more"}}) == ["limits.cpu"]
    assert differences({"limits": {"cpu": "lots"}}, {"limits": {"cpu": "lots"}}) == []
