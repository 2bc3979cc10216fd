"""A number that is none is told of in a person's words, not by the name of the function that read it."""

import pytest

from omnipipe.cli.parser import parse


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("serve a --port eighty", "--port: must be a whole number, not 'eighty'"),
        ("serve a --port 1.5", "--port: must be a whole number, not '1.5'"),
        ("serve a --grace-s soon", "--grace-s: must be a number of seconds, not 'soon'"),
        ("serve a --max-body-bytes 3MB", "--max-body-bytes: must be a whole number, not '3MB'"),
        ("stage --plan p --stage s --replica one", "--replica: must be a whole number, not 'one'"),
        ("stage --plan p --stage s --threads all", "--threads: must be a whole number, not 'all'"),
        ("gateway --plan p --lame-duck-s x", "--lame-duck-s: must be a number of seconds, not 'x'"),
    ],
)
def test_what_is_wrong_with_a_number(line: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(line.split())
    assert complaint in capsys.readouterr().err


def test_commands_that_are_not_for_people_are_not_offered(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["nope"])
    error = capsys.readouterr().err
    assert "'gateway'" in error
    assert "nursery" not in error
