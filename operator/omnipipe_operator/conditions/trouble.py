"""What is wrong with one pod, in the words of whoever knows: the scheduler, the kubelet, the container's last line."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from omnipipe_operator.children.containers import FETCH
from omnipipe_operator.conditions.reasons import Reason
from omnipipe_operator.observed import Object
from omnipipe_operator.pods import condition_of, is_leaving, is_ready

__all__ = ["Trouble", "Words", "trouble_of"]

_PULL: Final = frozenset(
    {
        "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
        "RegistryUnavailable", "SignatureValidationFailed",
    }
)  # fmt: skip
_CONFIG: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "PreCreateHookError"})
_NO_START: Final = frozenset({"RunContainerError", "StartError", "ContainerCannotRun"})
"""The program cannot be run. The kubelet tells it in turn as waiting, as an end, and as a crash loop."""
_NO_PREEMPTION: Final = re.compile(
    r" (no new claims to deallocate, )?preemption: .*not helpful for scheduling\.$", re.DOTALL
)
"""What the scheduler says of each pod that it cannot place, and which helps nobody."""
_LONGEST: Final = 600
"""Characters of somebody else's words in a message of ours."""


@dataclass(frozen=True, slots=True)
class Trouble:
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Words:
    """What is known of pods beside their objects, by pod name."""

    last_log_lines: Mapping[str, str]
    last_warnings: Mapping[str, str]


def trouble_of(pod: Object, words: Words) -> Trouble | None:
    """None for a pod that works, and for one that goes. A pod that merely starts is waited for, which is a reason too,
    but none of those that make a pipeline degraded."""
    if is_leaving(pod) or is_ready(pod):
        return None
    name = pod["metadata"]["name"]
    status = pod.get("status", {})
    if status.get("phase") == "Failed":
        return _failed(name, pod, words)
    scheduled = condition_of(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        gated = scheduled.get("reason") == "SchedulingGated"
        reason = Reason.SCHEDULING_GATED if gated else Reason.UNSCHEDULABLE
        said = scheduled.get("message") or ("it has a scheduling gate" if gated else "no node takes it")
        return Trouble(reason, f"pod {name}: {_short(_NO_PREEMPTION.sub('', said))}")
    for container in _containers(status):
        trouble = _container_trouble(name, container, words)
        if trouble is not None:
            return trouble
    return _waiting(name, pod, words)


def _failed(name: str, pod: Object, words: Words) -> Trouble:
    status = pod["status"]
    target = condition_of(pod, "DisruptionTarget") or {}
    said = status.get("message") or target.get("message") or ""
    if target.get("reason") == "PreemptionByScheduler":
        return Trouble(Reason.PREEMPTED, f"pod {name} made room for one of higher priority: {_short(said)}")
    if status.get("reason") == "Evicted" or target.get("reason") == "TerminationByKubelet":
        return Trouble(Reason.EVICTED, f"pod {name} was evicted from its node: {_short(said)}")
    for container in _containers(status):
        ended = container.get("state", {}).get("terminated")
        if ended and ended.get("exitCode"):
            return _ended(name, container["name"], ended, words)
    return Trouble(Reason.POD_FAILED, f"pod {name}: {_short(said or status.get('reason') or 'failed')}")


def _container_trouble(name: str, container: Object, words: Words) -> Trouble | None:
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    reason, said = waiting.get("reason", ""), waiting.get("message") or ""
    who = f"pod {name}, container {container['name']}"
    if reason in _PULL:
        return Trouble(Reason.IMAGE_PULL, f"{who}: {_short(_pull_words(said) or reason)}")
    if reason in _CONFIG:
        return Trouble(Reason.CONTAINER_CONFIG, f"{who}: {_short(said or reason)}")
    if reason in _NO_START:
        return Trouble(Reason.CRASH_LOOP, f"{who} cannot be started: {_short(said or reason)}")
    ended = state.get("terminated")
    if ended is None and not container.get("started"):  # else its last end is no news
        ended = (container.get("lastState") or {}).get("terminated")
    restarted = container.get("restartCount", 0) > 0 or reason == "CrashLoopBackOff"
    if ended and not container.get("ready") and (ended.get("exitCode") or (restarted and container["name"] != FETCH)):
        return _ended(name, container["name"], ended, words)
    if reason == "CrashLoopBackOff":
        return Trouble(Reason.CRASH_LOOP, f"{who}: {_short(said or reason)}")
    return None


def _ended(pod: str, container: str, ended: Object, words: Words) -> Trouble:
    last = words.last_log_lines.get(pod)
    wrote = f"; it wrote last: {_short(last)}" if last else ""
    if ended.get("reason") == "OOMKilled":
        limit = "was killed because it used more memory than its limit"
        return Trouble(Reason.OOM_KILLED, f"pod {pod}, container {container} {limit}{wrote}")
    reason = Reason.FETCH_FAILED if container == FETCH else Reason.CRASH_LOOP
    if ended.get("reason") in _NO_START:
        said = ended.get("message") or ended["reason"]
        return Trouble(reason, f"pod {pod}, container {container} cannot be started: {_short(said)}")
    return Trouble(reason, f"pod {pod}, container {container} exited with code {ended.get('exitCode', 0)}{wrote}")


def _waiting(name: str, pod: Object, words: Words) -> Trouble | None:
    """It has a node, and nothing has failed by its own status."""
    warned = words.last_warnings.get(name)
    if warned and not any(map(_runs, _containers(pod.get("status", {})))):
        kind = Reason.SANDBOX if "sandbox" in warned.partition(":")[0].lower() else Reason.VOLUME_MOUNT
        return Trouble(kind, f"pod {name}: {_short(warned)}")
    for container in pod.get("status", {}).get("initContainerStatuses") or ():
        if container["name"] == FETCH and _runs(container):
            return Trouble(Reason.WAITING_FOR_MODEL, f"pod {name} is fetching the model")
    if any(one.get("started") and not one.get("ready") for one in pod.get("status", {}).get("containerStatuses") or ()):
        return Trouble(Reason.NOT_READY, f"pod {name} was started and is not ready: its readiness probe fails")
    return Trouble(Reason.STARTING, f"pod {name} is starting")


def _runs(container: Object) -> bool:
    return "running" in (container.get("state") or {})


def _containers(status: Object) -> Iterable[Object]:
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _pull_words(said: str) -> str:
    """The kubelet says the same in turn as a failure and as a back-off around it: one of them is enough."""
    _, found, rest = said.partition(": ErrImagePull: ")
    return rest if found else said


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
