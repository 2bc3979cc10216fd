"""docs/troubleshooting.md has a line for each reason there is, and for no other."""

import re
from pathlib import Path

from omnipipe_operator.conditions.reasons import TROUBLE, Reason

TABLE = Path(__file__).parents[4] / "docs" / "troubleshooting.md"


def test_each_reason_has_its_line() -> None:
    lines = re.findall(r"^\| `(\w+)` \|", TABLE.read_text(), re.MULTILINE)
    assert sorted(lines) == sorted(reason.value for reason in Reason)


def test_what_is_wrong_says_what_to_do() -> None:
    rows = [line.split("|") for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    advice = {row[1].strip(" `"): row[3].strip() for row in rows}
    assert [reason for reason in TROUBLE if not advice[reason]] == []
