"""Many requests, clients that leave, stages that fail, processes that are killed: every request ends once and rightly,
and afterwards nothing is left. The whole of it is `python -m bench soak`."""

import re
from pathlib import Path

import pytest
from bench.soak import Settings, soak
from bench.soak_cases import Case, Plan, calm_case, make_case
from bench.soak_client import Answer, Verdict, judge


@pytest.mark.timeout(400)
def test_everything_ends_once_and_nothing_is_left(tmp_path: Path) -> None:
    report = soak(tmp_path, Settings(requests=2000, kill_every_s=0.2, kill_apart=250, calm=300))
    log = (tmp_path / "soak.log").read_text()
    assert report.problems == [], f"{report.problems}\n{log[-4000:]}"
    assert report.requests == 2600
    assert report.kills > 3
    assert report.verdicts[Verdict.RIGHT] > 1500
    assert report.verdicts[Verdict.PLANNED] > 100
    assert report.verdicts[Verdict.LEFT] > 100
    errors = re.findall(r"^\S+ +\| +(\w+(?:\.\w+)*(?:Error|Exception)\b.*)", log, re.MULTILINE)
    assert [error for error in errors if not error.endswith("as it was told to")] == []


def right(case: Case) -> Answer:
    return Answer(status=200, text=case.text, sound=case.sound, finishes=["stop"], dones=int(case.stream))


def error(code: str, status: int) -> Answer:
    envelope = {"message": "what was wrong", "type": "server_error", "param": None, "code": code}
    return Answer(status=status, errors=[envelope])


def silenced(case: Case, **but: object) -> Answer:
    """All of the text, and an error in place of the rest of the sound."""
    lost = {"sound": b"", "errors": error("replica_lost", 200).errors}
    return Answer(**{**vars(right(case)), **lost, **but})


CALM = calm_case(0, 2)
FAILS = next(case for case in (make_case(0, n) for n in range(1000)) if case.plan is Plan.FAILS)


@pytest.mark.parametrize(
    ("case", "answer", "verdict"),
    [
        (CALM, right(CALM), Verdict.RIGHT),
        (CALM, right(calm_case(0, 4)), Verdict.WRONG),
        (CALM, Answer(**{**vars(right(CALM)), "dones": 2}), Verdict.WRONG),
        (CALM, Answer(**{**vars(right(CALM)), "dones": 0}), Verdict.WRONG),
        (CALM, Answer(**{**vars(right(CALM)), "finishes": ["stop", "stop"]}), Verdict.WRONG),
        (CALM, Answer(**{**vars(right(CALM)), "sound": b""}), Verdict.WRONG),
        (CALM, Answer(**{**vars(right(CALM)), "after_the_end": 1}), Verdict.WRONG),
        (CALM, Answer(broken="no end within 60 s"), Verdict.WRONG),
        (CALM, error("unavailable", 503), Verdict.UNSAVED),
        (CALM, error("internal_error", 500), Verdict.WRONG),
        (CALM, silenced(CALM), Verdict.UNSAVED),
        (CALM, silenced(CALM, text=CALM.text[:-1]), Verdict.WRONG),
        (CALM, silenced(CALM, finishes=[]), Verdict.WRONG),
        (CALM, silenced(CALM, dones=0), Verdict.WRONG),
        (FAILS, error("internal_error", 500), Verdict.PLANNED),
        (FAILS, error("unavailable", 503), Verdict.UNSAVED),
        (FAILS, right(FAILS), Verdict.WRONG),
    ],
)
def test_the_judge_is_strict(case: Case, answer: Answer, verdict: Verdict) -> None:
    assert judge(case, answer)[0] is verdict
