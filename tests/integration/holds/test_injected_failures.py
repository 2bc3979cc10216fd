"""What a stage does to a request of its own accord: refuse it, fail, or take the process with it.

Under `omnipipe serve`, which brings a crashed stage back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.holds.client import Refused, ask, body
from tests.integration.holds.cluster import STAGES
from tests.integration.local.served import ECHO, Served, eventually
from tests.leak_check import LongLived

SENTENCE = "the quick brown fox jumps over the lazy dog"


@pytest.fixture(scope="module")
def served(long_lived: LongLived, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    manifest = folder / "echo.yaml"
    manifest.write_text(ECHO)
    with long_lived("omnipipe serve"), Served(folder, manifest, "--port", "0") as serving:
        assert serving.url
        yield serving
        assert serving.stop() == 0


def port_of(served: Served) -> int:
    return int(served.url.rpartition(":")[2].partition("/")[0])


class Ends:
    """How many requests ended, in every way, by the gateway's own count."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        with self._served.client() as client:
            text = client.get("../metrics", cast_to=str)
        return {
            sample.labels["outcome"]: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "omnipipe_coordinator_requests_total"
        }

    def since(self) -> dict[str, float]:
        now = self._now()
        return {end: count for end in now if (count := now[end] - self._before.get(end, 0))}


@pytest.mark.parametrize("how", ["request", "error"])
@pytest.mark.parametrize("stage", STAGES)
async def test_a_failure_at_the_start(served: Served, stage: str, how: str) -> None:
    ends = Ends(served)
    late = {"compose": {"delay_ms": 300}} if stage == "synth" else {}
    params = late | {stage: {"fail": how}}
    with pytest.raises(Refused) as refused:
        await ask(port_of(served), body("hello", stream=stage != "synth", audio=True, stage_params=params))
    error = refused.value.error
    assert set(error) == {"message", "type", "param", "code"}
    if how == "request":
        assert refused.value.status == 422
        assert error["message"] == f"stage {stage} refused this request, as it was told to"
        assert error["param"] == f"stage_params.{stage}.fail"
    else:
        assert refused.value.status == 500
        assert "as it was told" not in error["message"] and "RuntimeError" not in error["message"], "no internals"
    assert eventually(ends.since, "an end is counted") == {"error": 1}
    assert (await ask(port_of(served), body("next", audio=True))).text == "next"


@pytest.mark.parametrize("how", ["request", "error"])
@pytest.mark.parametrize("stage", ["compose", "synth"])
async def test_a_failure_after_some_chunks(served: Served, stage: str, how: str) -> None:
    ends = Ends(served)
    params = {stage: {"fail": how, "fail_after": 3}}
    answer = await ask(port_of(served), body(SENTENCE, audio=True, stage_params=params))
    assert answer.error is not None
    assert set(answer.error) == {"message", "type", "param", "code"}
    if stage == "compose":
        assert answer.text == "the quick brown " and not answer.done
    else:
        assert (answer.text, answer.finish_reason, answer.done) == (SENTENCE, "stop", True)
        assert len(answer.sounds) == 3
    assert eventually(ends.since, "an end is counted") == {"error": 1}
    assert (await ask(port_of(served), body("next", audio=True))).text == "next"


@pytest.mark.parametrize("stage", STAGES)
async def test_a_crash_at_the_start(served: Served, stage: str) -> None:
    """It comes again with each attempt, so the request ends in an error; the stage is back for the next."""
    ends = Ends(served)
    params = {"compose": {"delay_ms": 300}} | {stage: {"crash": True}}
    with pytest.raises(Refused) as refused:
        await ask(port_of(served), body("hello", stream=stage != "synth", audio=True, stage_params=params))
    assert refused.value.status == 503
    assert refused.value.error["code"] in ("replica_lost", "stage_unavailable"), refused.value
    assert int(refused.value.headers["retry-after"]) >= 1
    assert eventually(ends.since, "an end is counted") == {"error": 1}
    assert (await ask(port_of(served), body("next", audio=True))).text == "next"


@pytest.mark.parametrize("stage", ["compose", "synth"])
async def test_a_crash_after_some_chunks(served: Served, stage: str) -> None:
    ends = Ends(served)
    params = {stage: {"crash": True, "crash_after": 2, "delay_ms": 50}}
    answer = await ask(port_of(served), body(SENTENCE, audio=True, stage_params=params))
    assert answer.error is not None
    assert answer.error["code"] == "replica_lost"
    assert SENTENCE.startswith(answer.text) and answer.text
    assert answer.done == (stage == "synth") == (answer.text == SENTENCE)
    assert eventually(ends.since, "an end is counted") == {"error": 1}
    assert (await ask(port_of(served), body("next", audio=True))).text == "next"


async def test_all_is_back(served: Served, tmp_path: Path) -> None:
    """After all of the above, and so last."""
    with served.client() as client:
        report = client.get("../health", cast_to=object)
    assert isinstance(report, dict) and report["status"] == "healthy"
    eventually(lambda: served.ask("hello") == "hello", "an answer")
