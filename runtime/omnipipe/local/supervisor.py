"""Starts the processes of a run, restarts what crashes, and ends all of them.

One thread, one poll: pipes, signals and timers. The order of an end is gateway first, which stops admitting and
finishes what it has, then the stages that it needed for that. When the gateway says that a pipeline was deleted, its
stages end and the others go on.
"""

import selectors
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from omnipipe.local.child import Child, ChildKind, ChildSpec, State
from omnipipe.local.console import Console
from omnipipe.local.errors import StartFailed
from omnipipe.local.signals import Signals

__all__ = ["Supervisor", "Timing"]


_CUT_SHORT = 4
"""The exit code of a process that left work unfinished (docs/cli.md)."""


class Phase(IntEnum):
    SERVING = 0
    GATEWAY_ENDS = 1
    STAGES_END = 2
    KILLED = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds."""

    gateway_grace: float = 30.0
    """What a gateway gets to finish the requests it has: most answers are out by then."""
    stage_grace: float = 5.0
    """What stages get afterwards: nothing is left for them to do but to close."""
    slow_start: float = 30.0
    """A start that takes longer is mentioned again each time this passes."""


class Supervisor:
    def __init__(
        self,
        specs: list[ChildSpec],
        console: Console,
        on_ready: Callable[[], None],
        on_drain: Callable[[], None],
        gateway_without: Callable[[Collection[str]], ChildSpec],
        timing: Timing,
    ) -> None:
        """`on_ready`: a request can be answered, for the first time. `on_drain`: nothing more shall come in.
        `gateway_without`: how the gateway is started again when these pipelines have been deleted."""
        self._children = [Child(spec) for spec in specs]
        self._console = console
        self._on_ready = on_ready
        self._on_drain = on_drain
        self._gateway_without = gateway_without
        self._deleted: set[str] = set()
        self._unneeded_end = float("inf")
        """When those whose pipeline was deleted and that have not ended are killed."""
        self._timing = timing
        self._phase = Phase.SERVING
        self._phase_end = float("inf")
        """When those that should have ended in this phase are killed."""
        self._announced = False
        self._routable = False
        """The gateway has heard of every stage."""
        self._slow_at = time.monotonic() + timing.slow_start
        self._failure: StartFailed | None = None
        self._cut_short = False
        self._selector = selectors.PollSelector()

    def run(self) -> bool:
        """Until everything has ended. False: work may have been cut short. Raises StartFailed when a process that was
        never ready cannot be started."""
        with Signals() as signals, self._selector:
            self._selector.register(signals.fd, selectors.EVENT_READ, signals.clear)
            try:
                while not all(child.state is State.ENDED for child in self._children):
                    self._start_due()
                    self._wait()
                    for _ in range(signals.take_stops()):
                        self._stop_asked()
                    self._reap()
                    self._check_timers()
            finally:
                for child in self._children:  # only a bug in the loop leaves one; it must not outlive this process
                    child.signal(signal.SIGKILL)
        if self._failure:
            raise self._failure
        return not self._cut_short

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.state is State.WAITING and child.start_at <= now:
                child.start()
                self._selector.register(child.output_fd, selectors.EVENT_READ, partial(self._output_came, child))
                if child.lifeline is not None:
                    self._selector.register(child.lifeline, selectors.EVENT_READ, partial(self._told, child))

    def _wait(self) -> None:
        output = self._console.output
        if output.waiting:
            self._selector.register(output.fd, selectors.EVENT_WRITE, output.pump)
        times = [child.start_at for child in self._children if child.state is State.WAITING]
        until = min([*times, self._phase_end, self._unneeded_end, self._slow_at])
        timeout = None if until == float("inf") else max(0.0, until - time.monotonic())
        try:
            for key, _ in self._selector.select(timeout):
                key.data()
        finally:
            if output.fd in self._selector.get_map():
                self._selector.unregister(output.fd)

    def _output_came(self, child: Child) -> None:
        lines, more = child.read()
        for line in lines:
            self._console.child(child.spec.name, line)
        if not more:
            self._selector.unregister(child.output_fd)

    def _told(self, child: Child) -> None:
        said, more = child.told()
        for words in said:
            if words == "ready":
                self._came_up(child)
            elif words == "routable":
                self._routable = True
                self._announce()
            elif words.startswith("deleted "):
                self._delete(words.removeprefix("deleted "))
        if not more and child.lifeline is not None:
            self._selector.unregister(child.lifeline)

    def _came_up(self, child: Child) -> None:
        if child.state is not State.STARTING:
            return
        child.state = State.READY
        child.ready = time.monotonic()
        took = child.ready - child.started
        name = child.spec.name
        self._console.say(f"  {name} ready in {took:.2f} s", event="child_ready", child=name, seconds=round(took, 3))
        self._announce()

    def _announce(self) -> None:
        if self._announced or not self._routable:
            return
        if all(other.state is State.READY for other in self._children if not other.unneeded):
            self._announced = True
            self._slow_at = float("inf")
            self._on_ready()

    def _delete(self, pipeline: str) -> None:
        """The gateway has let go of its stages."""
        if self._phase is not Phase.SERVING:
            return  # they end anyhow
        self._deleted.add(pipeline)
        self._console.say(f"  {pipeline} was deleted: its stages end", event="deleted", pipeline=pipeline)
        self._unneeded_end = time.monotonic() + self._timing.stage_grace
        for child in self._children:
            if child.spec.pipeline == pipeline and child.state is not State.ENDED:
                child.unneeded = True
                self._end(child, signal.SIGTERM)

    def _reap(self) -> None:
        for child in self._children:
            code = child.reap()
            if code is None:
                continue
            self._close(child)
            if self._expected(child):
                child.state = State.ENDED
                self._cut_short |= code == _CUT_SHORT
                if code != 0:
                    self._console.say(f"  {child.spec.name} {_cause(code)}", event="child_ended", child=child.spec.name)
            else:
                self._crashed(child, code)
        if self._phase is Phase.GATEWAY_ENDS and self._all_ended(ChildKind.GATEWAY):
            self._enter(Phase.STAGES_END, self._timing.stage_grace)

    def _close(self, child: Child) -> None:
        """Takes what the process said last and closes its pipes."""
        for fd in (child.output_fd, child.lifeline):
            if fd is not None and fd in self._selector.get_map():
                self._selector.unregister(fd)
        more = True
        while more:
            lines, more = child.read()
            for line in lines:
                self._console.child(child.spec.name, line)
            if not lines:
                break
        child.close()

    def _expected(self, child: Child) -> bool:
        """The process was told to end."""
        return child.unneeded or self._phase >= (
            Phase.GATEWAY_ENDS if child.spec.kind is ChildKind.GATEWAY else Phase.STAGES_END
        )

    def _crashed(self, child: Child, code: int) -> None:
        name = child.spec.name
        now = time.monotonic()
        if self._deleted and child.spec.kind is ChildKind.GATEWAY:
            if not any(other.spec.pipeline not in self._deleted for other in self._children if other is not child):
                self._console.say(
                    f"  {name} {_cause(code)}; every pipeline was deleted", event="child_ended", child=name
                )
                child.state = State.ENDED
                return
            child.spec = self._gateway_without(self._deleted)
        delay = child.restarts.ended(None if child.ready is None else now - child.ready, code)
        if delay is None:
            last = child.last_words[-1].decode(errors="replace") if child.last_words else "it printed nothing"
            times = f"{child.restarts.failures} times" if child.restarts.failures > 1 else "at once"
            self._failure = StartFailed(f"{name} cannot be started: it {_cause(code)} {times}; its last words: {last}")
            child.state = State.ENDED
            self._cut_short = True
            self._on_drain()
            self._enter(Phase.STAGES_END, self._timing.stage_grace)
            return
        child.state = State.WAITING
        child.start_at = now + delay
        text = f"  {name} {_cause(code)}; starting it again in {delay:.1f} s"
        self._console.say(text, event="child_crashed", child=name, code=code, seconds=delay)

    def _stop_asked(self) -> None:
        if self._phase is Phase.SERVING:
            self._console.say("stopping: finishing what runs; Ctrl-C again stops at once", event="draining")
            self._on_drain()
            self._enter(Phase.GATEWAY_ENDS, self._timing.gateway_grace)
        elif self._phase < Phase.KILLED:
            self._console.say("stopping at once", event="stopping")
            self._cut_short = True
            self._enter(Phase.KILLED, 0.0)

    def _enter(self, phase: Phase, grace_s: float) -> None:
        self._phase = phase
        self._phase_end = float("inf") if phase is Phase.KILLED else time.monotonic() + grace_s
        number = signal.SIGKILL if phase is Phase.KILLED else signal.SIGTERM
        for child in self._children:
            if self._expected(child) and not (child.unneeded and number is signal.SIGTERM):  # once is enough
                self._end(child, number)

    def _end(self, child: Child, number: signal.Signals) -> None:
        if child.state is State.WAITING:
            child.state = State.ENDED
        child.signal(number)

    def _check_timers(self) -> None:
        now = time.monotonic()
        if now >= self._phase_end:
            self._phase_end = float("inf")
            self._cut_short = True
            self._kill([child for child in self._children if child.process and self._expected(child)])
        if now >= self._unneeded_end:
            self._unneeded_end = float("inf")
            self._kill([child for child in self._children if child.process and child.unneeded])
        if now >= self._slow_at:
            self._slow_at = now + self._timing.slow_start
            names = ", ".join(child.spec.name for child in self._children if child.state is not State.READY)
            self._console.say(f"  still starting: {names}", event="slow_start")

    def _kill(self, slow: list[Child]) -> None:
        if not slow:
            return
        names = ", ".join(child.spec.name for child in slow)
        self._console.say(f"  killing what did not end in time: {names}", event="killing")
        for child in slow:
            child.signal(signal.SIGKILL)

    def _all_ended(self, kind: ChildKind) -> bool:
        return all(child.state is State.ENDED for child in self._children if child.spec.kind is kind)


def _cause(code: int) -> str:
    if code >= 0:
        return f"exited with {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
