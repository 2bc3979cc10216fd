import json
import logging
from collections.abc import Iterator

import pytest

from omnipipe.logs import start_logging


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_text_is_one_line_with_what_was_given_as_extra(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("text", "info")
    logging.getLogger("x").info("step took %d ms", 7, extra={"stage": "synth"})
    logging.getLogger("x").debug("too quiet")
    line = capsys.readouterr().err
    assert line.endswith(" info    step took 7 ms stage=synth\n")
    assert line.count("\n") == 1


def test_json_carries_the_same_and_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("json", "warning")
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("omnipipe.stage").exception("a step failed", extra={"rid": "r1"})
    fields = json.loads(capsys.readouterr().err)
    assert (fields["level"], fields["logger"], fields["message"]) == ("error", "omnipipe.stage", "a step failed")
    assert fields["rid"] == "r1"
    assert fields["traceback"].endswith("ValueError: bad")
    assert fields["time"].endswith("Z")
