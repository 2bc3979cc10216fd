"""Values on the command line that no command can work with are refused before it begins."""

from pathlib import Path

import pytest

from omnipipe.cli.parser import parse


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["validate", ""], "must not be empty"),
        (["validate", "a.yaml", ""], "must not be empty"),
        (["serve", ""], "must not be empty"),
        (["serve", "a.yaml", "--max-body-bytes", "0"], "must be from 1 to"),
        (["serve", "a.yaml", "--max-body-bytes", "-1"], "must be from 1 to"),
        (["gateway", "--plan", "p.json", "--max-body-bytes", "0"], "must be from 1 to"),
    ],
)
def test_it_is_refused_with_the_reason(words: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_folder_that_one_is_in_has_a_name(tmp_path: Path) -> None:
    assert parse(["validate", "."]) != parse(["validate", str(tmp_path)])
