"""What pods' nodes warn of and what their containers wrote last: asked for where it tells something, and no more often
than it changes."""

from collections.abc import Sequence
from typing import Any

from omnipipe_operator.cluster.errors import Forbidden
from omnipipe_operator.cluster.memory import MemoryCluster
from omnipipe_operator.crashes import LastWords
from omnipipe_operator.observed import Object
from omnipipe_operator.podwarnings import PodWarnings


class Telling(MemoryCluster):
    def __init__(self) -> None:
        super().__init__()
        self.events: dict[str, list[Object]] = {}
        self.asked: list[str] = []
        self.read: list[tuple[str, str, bool]] = []
        self.forbidden = False

    async def warnings(self, namespace: str, uid: str) -> Sequence[Object]:
        self.asked.append(uid)
        if self.forbidden:
            raise Forbidden("no", 403)
        return self.events.get(uid, [])

    async def log_tail(self, namespace: str, pod: str, container: str, *, previous: bool) -> str:
        self.read.append((pod, container, previous))
        return await super().log_tail(namespace, pod, container, previous=previous)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def stuck(name: str, reason: str = "ContainerCreating", *, init: bool = False, **more: Any) -> Object:
    states = [{"name": "stage", "state": {"waiting": {"reason": reason}}}]
    status = {"initContainerStatuses" if init else "containerStatuses": states}
    head = {"name": name, "uid": f"uid-{name}", **more}
    return {"metadata": head, "spec": {"nodeName": "node-1"}, "status": status}


def warning(reason: str, message: str, **moment: Any) -> Object:
    return {"metadata": {"creationTimestamp": "2030-01-01T00:00:00Z"}, "reason": reason, "message": message, **moment}


async def test_the_latest_warning_is_told_whichever_way_it_is_dated() -> None:
    cluster = Telling()
    cluster.events["uid-a"] = [
        warning("FailedMount", "first", lastTimestamp="2030-01-01T00:00:01Z"),
        warning("FailedMount", "third", series={"lastObservedTime": "2030-01-01T00:00:03Z"}),
        warning("FailedMount", "second", eventTime="2030-01-01T00:00:02Z"),
        warning("Undated", "none"),
    ]

    assert await PodWarnings(cluster).of("ns", [stuck("a")]) == {"a": "FailedMount: third"}
    del cluster.events["uid-a"][1]
    assert await PodWarnings(cluster).of("ns", [stuck("a")]) == {"a": "FailedMount: second"}
    del cluster.events["uid-a"][:2]
    assert await PodWarnings(cluster).of("ns", [stuck("a")]) == {"a": "Undated: none"}


async def test_a_very_long_warning_is_cut() -> None:
    cluster = Telling()
    cluster.events["uid-a"] = [warning("FailedMount", "x" * 1000)]

    found = await PodWarnings(cluster).of("ns", [stuck("a")])

    assert len(found["a"]) == 600


async def test_only_pods_whose_containers_do_not_come_to_be_are_asked_after() -> None:
    cluster = Telling()
    unplaced = stuck("unplaced")
    unplaced["spec"] = {}
    pods = [
        unplaced,
        stuck("going", deletionTimestamp="2030-01-01T00:00:00Z"),
        stuck("crashing", "CrashLoopBackOff"),
        {"metadata": {"name": "new", "uid": "uid-new"}, "spec": {"nodeName": "node-1"}},
        stuck("creating"),
        stuck("initializing", "PodInitializing"),
        stuck("fetching", init=True),
    ]

    assert await PodWarnings(cluster).of("ns", pods) == {}
    assert cluster.asked == ["uid-creating", "uid-initializing", "uid-fetching"]


async def test_what_was_asked_is_known_for_five_seconds() -> None:
    cluster, clock = Telling(), Clock()
    cluster.events["uid-a"] = [warning("FailedMount", "one")]
    warnings = PodWarnings(cluster, clock)
    await warnings.of("ns", [stuck("a")])
    cluster.events["uid-a"] = [warning("FailedMount", "two")]

    clock.now = 4.9
    assert await warnings.of("ns", [stuck("a")]) == {"a": "FailedMount: one"}
    clock.now = 5.0
    assert await warnings.of("ns", [stuck("a")]) == {"a": "FailedMount: two"}
    clock.now = 9.9
    assert await warnings.of("ns", [stuck("a")]) == {"a": "FailedMount: two"}
    assert len(cluster.asked) == 2


async def test_an_operator_that_may_not_read_events_does_without() -> None:
    cluster = Telling()
    cluster.forbidden = True

    assert await PodWarnings(cluster).of("ns", [stuck("a")]) == {}


def crashed(now: Object | None = None, before: Object | None = None, *, restarts: int = 0, **more: Any) -> Object:
    """Of the container `stage`, how this run ended and how the one before did."""
    container: Object = {"name": "stage", "restartCount": restarts, **more}
    if now is not None:
        container["state"] = {"terminated": now}
    if before is not None:
        container["lastState"] = {"terminated": before}
    return {"metadata": {"name": "a", "uid": "uid-a"}, "status": {"containerStatuses": [container]}}


async def test_the_last_line_is_that_of_the_run_that_failed() -> None:
    cluster = Telling()
    cluster.logs["a", "stage"] = "loading\n  no such file  \n\n"

    for pod, previous in ((crashed({"exitCode": 1}), False), (crashed(before={"exitCode": 1}), True)):
        assert await LastWords(cluster).of("ns", [pod]) == {"a": "no such file"}
        assert cluster.read[-1] == ("a", "stage", previous)


async def test_the_init_container_has_last_words_too() -> None:
    cluster = Telling()
    cluster.logs["a", "stage"] = "denied"
    pod = crashed({"exitCode": 2})
    pod["status"]["initContainerStatuses"] = pod["status"].pop("containerStatuses")

    assert await LastWords(cluster).of("ns", [pod]) == {"a": "denied"}


async def test_who_ended_well_or_works_again_is_not_asked() -> None:
    cluster = Telling()

    for pod in (
        crashed({"exitCode": 0}),
        crashed(before={"exitCode": 0}),
        crashed(before={"exitCode": 1}, ready=True),
        {"metadata": {"name": "a", "uid": "uid-a"}},
    ):
        assert await LastWords(cluster).of("ns", [pod]) == {}
    assert cluster.read == []


async def test_each_restart_is_read_once_and_a_log_that_is_away_is_no_failure() -> None:
    cluster = Telling()
    words = LastWords(cluster)
    assert await words.of("ns", [crashed({"exitCode": 1}, restarts=1)]) == {}

    cluster.logs["a", "stage"] = "x" * 1000
    assert await words.of("ns", [crashed({"exitCode": 1}, restarts=1)]) == {}
    assert await words.of("ns", [crashed({"exitCode": 1}, restarts=2)]) == {"a": "x" * 400}
    cluster.logs["a", "stage"] = "\n \n"
    assert await words.of("ns", [crashed({"exitCode": 1}, restarts=3)]) == {}
    assert len(cluster.read) == 3
