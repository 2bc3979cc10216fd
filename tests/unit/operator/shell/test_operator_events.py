"""Events as `kubectl describe` shows them, and how often the same thing is said."""

import re

import pytest

from omnipipe_operator.cache import Key
from omnipipe_operator.cluster.errors import ClusterError, Forbidden, NamespaceEnding, Unavailable
from omnipipe_operator.cluster.kinds import EVENT, Kind
from omnipipe_operator.cluster.memory import MemoryCluster
from omnipipe_operator.events import Recorder
from omnipipe_operator.observed import Note, Object

PIPELINE = {
    "apiVersion": "omnipipe.dev/v1alpha1",
    "kind": "OmniPipeline",
    "metadata": {"name": "chat", "namespace": "ns", "uid": "u-1", "resourceVersion": "7"},
}
NOTE = Note("Warning", "ApplyRefused", "ConfigMap a: no")
NOON = 1_893_499_200.0  # 2030-01-01T12:00:00Z


class Refusing(MemoryCluster):
    error: ClusterError | None = None
    asked = 0

    async def create(self, kind: Kind, value: Object) -> Object:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return await super().create(kind, value)


class Watch:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


async def test_an_event_says_of_what_by_whom_and_when() -> None:
    cluster = MemoryCluster()
    await Recorder(cluster, now=Watch()).say(PIPELINE, [NOTE])

    [name] = cluster.names(EVENT)
    event = await cluster.get(EVENT, "ns", name)

    assert re.fullmatch(r"chat\.[0-9a-f]{16}", name)
    assert (event["apiVersion"], event["kind"]) == ("v1", "Event")
    assert event["involvedObject"] == {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "name": "chat",
        "namespace": "ns",
        "uid": "u-1",
        "resourceVersion": "7",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "ApplyRefused", "ConfigMap a: no")
    assert event["source"] == {"component": "omnipipe-operator"}
    assert event["reportingComponent"] == "omnipipe.dev/operator"
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2030-01-01T12:00:00Z"
    assert event["count"] == 1


async def test_a_message_is_cut_to_what_the_api_server_takes() -> None:
    cluster = MemoryCluster()
    await Recorder(cluster, now=Watch()).say(PIPELINE, [Note("Normal", "Long", "x" * 2000)])

    [name] = cluster.names(EVENT)
    assert len((await cluster.get(EVENT, "ns", name))["message"]) == 1024


async def test_what_is_decided_again_and_again_is_said_once_until_it_was_quiet_for_an_hour() -> None:
    cluster, clock, written = MemoryCluster(), Watch(), list[float]()
    recorder = Recorder(cluster, lambda: written.append(clock.now), clock)
    for _ in range(4):
        await recorder.say(PIPELINE, [NOTE])
        clock.now += 3599.0
    assert written == [NOON]

    clock.now += 1.0
    await recorder.say(PIPELINE, [NOTE])
    assert len(written) == len(cluster.names(EVENT)) == 2


async def test_a_pipeline_that_has_gone_is_forgotten() -> None:
    cluster = Refusing()
    recorder = Recorder(cluster, now=Watch())
    await recorder.say(PIPELINE, [NOTE])
    recorder.forget(Key("ns", "chat"))

    await recorder.say(PIPELINE, [NOTE])

    assert cluster.asked == 2


async def test_of_a_pipeline_with_many_words_the_latest_are_remembered() -> None:
    cluster = Refusing()
    recorder = Recorder(cluster, now=Watch())
    many = [Note("Normal", "Many", str(number)) for number in range(65)]
    await recorder.say(PIPELINE, many)

    await recorder.say(PIPELINE, many[1:])
    assert cluster.asked == 65
    await recorder.say(PIPELINE, many[:1])
    assert cluster.asked == 66


async def test_an_event_that_may_not_be_written_is_logged_and_not_tried_at_each_look(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = Refusing()
    cluster.error = Forbidden("not allowed", 403)
    recorder = Recorder(cluster, now=Watch())

    await recorder.say(PIPELINE, [NOTE])
    await recorder.say(PIPELINE, [NOTE])

    assert cluster.asked == 1
    assert "ns/chat: cannot write the event ApplyRefused: not allowed" in caplog.text


async def test_in_a_namespace_that_ends_nothing_more_is_said() -> None:
    cluster = Refusing()
    cluster.error = NamespaceEnding("it ends", 403)

    await Recorder(cluster, now=Watch()).say(PIPELINE, [NOTE, Note("Normal", "More", "of it")])

    assert cluster.asked == 1


async def test_while_the_api_server_is_away_the_event_waits_for_it() -> None:
    cluster = Refusing()
    cluster.error = Unavailable("away", 503)
    recorder = Recorder(cluster, now=Watch())
    with pytest.raises(Unavailable):
        await recorder.say(PIPELINE, [NOTE])

    cluster.error = None
    await recorder.say(PIPELINE, [NOTE])

    assert len(cluster.names(EVENT)) == 1
