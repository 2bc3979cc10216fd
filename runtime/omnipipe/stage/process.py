"""A stage process from start to exit code: puts wire, router, engine, loop, probes and signals together.

Start-up is part of every `omnipipe serve`, so only what this stage needs is imported; a program's own imports happen
where its engine runs.
"""

import dataclasses
import gc
import importlib
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, assert_never

from omnipipe.engines.batch import BatchEngine
from omnipipe.engines.engine import Engine
from omnipipe.engines.errors import LoadingError
from omnipipe.engines.members import missing
from omnipipe.engines.program import StageContext
from omnipipe.errors import Stopped
from omnipipe.observe.events import EventLog, Events, NoEvents
from omnipipe.observe.metrics import CONTENT_TYPE, Registry, StageMetrics
from omnipipe.settings import COLLECT_EVERY
from omnipipe.spec.plan import EngineKind, Placement, Plan, PlanStage
from omnipipe.stage.admin import AdminServer, Probes
from omnipipe.stage.errors import ExitCode, StageError
from omnipipe.stage.hopeless import hopeless
from omnipipe.stage.loop import StageLoop, Stop
from omnipipe.stage.router import Router
from omnipipe.stage.runner import InlineRunner, Runner, ThreadRunner
from omnipipe.stage.settings import StageSettings
from omnipipe.wire.errors import WireError
from omnipipe.wire.keys import CurveKeys, load_keys
from omnipipe.wire.port import Identity, Role
from omnipipe.wire.socket_wire import SocketWire

__all__ = ["run_stage"]

_log = logging.getLogger(__name__)

_TICK_S = 5.0
"""`/livez`: the I/O loop turns four times a second when idle; this long without a turn it is stuck."""
_SWITCH_S = 5e-4
"""With an engine thread: Python work in it delays the I/O loop by at most this (5 ms by default)."""
_AUTOREGRESSIVE = "omnipipe.engines.autoregressive.engine"
"""Brings torch."""
_JOIN_S = 1.0
"""What a running step gets to end when the process leaves; a longer one is left behind."""


def run_stage(plan: Plan, stage: str, replica: int, settings: StageSettings) -> int:
    """Runs one replica until it is told to stop; the exit code. Errors are logged as one readable line."""
    try:
        return _run(plan, plan.stage(stage), replica, settings)
    except StageError as error:
        _log.error("stage %s: %s", stage, error)
        return error.code
    except WireError as error:
        _log.error("stage %s: %s", stage, error)
        return ExitCode.START_FAILED
    except Exception:  # the boundary of the process
        _log.exception("stage %s: this is a bug", stage)
        return ExitCode.BROKEN


def _run(plan: Plan, stage: PlanStage, replica: int, settings: StageSettings) -> ExitCode:
    registry = Registry()
    metrics = StageMetrics(
        registry, namespace=plan.namespace, pipeline=plan.pipeline, stage=stage.name, revision=plan.revision
    )
    inline = stage.engine.placement is Placement.INLINE
    with ExitStack() as stack:
        events = _open_events(settings, f"{stage.name}-{replica}")
        stack.callback(events.close)
        if inline:
            runner: Runner = InlineRunner(lambda: _make_engine(plan, stage, registry))
            runner.start()  # before anybody can connect: whoever is let in is served
        else:
            _import_code(stage)  # libraries load with the GIL held: a peer that is connected would miss our beats
        identity = Identity(
            plan.pipeline, plan.revision, Role.STAGE, f"{stage.name}-{replica}-{secrets.token_hex(4)}", stage.name
        )
        keys = load_keys(settings.curve_dir) if settings.curve_dir is not None else None
        listen = settings.listen or _listen_address(stage, replica)
        wire = _open_wire(identity, listen, plan, keys)
        stack.callback(_remove_socket, listen)
        stack.callback(wire.close)
        metrics.watch_wire(lambda: dataclasses.asdict(wire.counters))
        if not inline:
            sys.setswitchinterval(_SWITCH_S)
            runner = ThreadRunner(lambda: _make_engine(plan, stage, registry), wire.wake)
            runner.start()
        stack.callback(runner.close, _JOIN_S)
        router = Router(plan, stage.name, wire, metrics, events)
        loop = StageLoop(
            wire,
            router,
            runner,
            metrics,
            events,
            grace_s=settings.grace_s,
            on_ready=lambda: _ready(settings.ready_fd, inline=inline),
        )
        stack.enter_context(_signals(loop))
        if settings.admin is not None:
            probes = _probes(plan, loop, runner, registry)
            stack.callback(AdminServer(settings.admin, probes).close)
        return loop.run()


def _open_events(settings: StageSettings, process: str) -> Events:
    if settings.events_dir is None:
        return NoEvents()
    return EventLog(settings.events_dir, process, every_request=settings.events_of_all)


def _listen_address(stage: PlanStage, replica: int) -> str:
    addresses = stage.addresses
    if len(addresses) == 1 and addresses[0].startswith("dns+tcp://"):
        return f"tcp://0.0.0.0:{addresses[0].rpartition(':')[2]}"
    if replica >= len(addresses):
        raise StageError(ExitCode.START_FAILED, f"the plan has {len(addresses)} replicas, there is no {replica}")
    return addresses[replica]


def _open_wire(identity: Identity, listen: str, plan: Plan, keys: CurveKeys | None) -> SocketWire:
    try:
        return SocketWire(identity, listen, plan.transport, keys)
    except OSError as error:
        text = f"cannot listen on {listen}: {error.strerror or error}"
        raise StageError(ExitCode.START_FAILED, text) from error


def _make_engine(plan: Plan, stage: PlanStage, registry: Registry) -> Engine:
    """Where the engine will run: a program may load its model in its constructor or in its engine's."""
    with _loading(stage):
        program = _program_type(stage)(StageContext(stage.name, plan.source, stage.params))
        if lack := missing(program, stage.engine.kind):
            raise LoadingError(lack)
        return _engine_for(plan, stage, program, registry)


def _import_code(stage: PlanStage) -> None:
    with _loading(stage):
        _program_type(stage)
        if stage.engine.kind is EngineKind.AUTOREGRESSIVE:
            importlib.import_module(_AUTOREGRESSIVE)


def _program_type(stage: PlanStage) -> Any:
    module, _, name = stage.program.partition(":")
    return getattr(importlib.import_module(module), name)


@contextmanager
def _loading(stage: PlanStage) -> Iterator[None]:
    try:
        yield
    except Stopped:
        raise
    except (Exception, SystemExit) as error:  # the boundary to the program's author: whatever it is, it does not load
        _log.debug("loading %s", stage.program, exc_info=True)
        text = f"cannot load its program {stage.program}: {type(error).__name__}: {error}"
        code = ExitCode.INVALID if hopeless(error) else ExitCode.START_FAILED
        raise StageError(code, " ".join(text.split())) from error


def _engine_for(plan: Plan, stage: PlanStage, program: Any, registry: Registry) -> Engine:
    """`program` is what the engine's kind takes: Any, for it comes from a name in the plan."""
    match stage.engine.kind:
        case EngineKind.BATCH:
            return BatchEngine(program, stage.engine, stage=stage.name)
        case EngineKind.AUTOREGRESSIVE:
            from omnipipe.engines.autoregressive.engine import AutoregressiveEngine  # brings torch
            from omnipipe.engines.autoregressive.metrics import AutoregressiveMetrics
            from omnipipe.engines.kernels.native import NativeKernels

            metrics = AutoregressiveMetrics(
                registry, namespace=plan.namespace, pipeline=plan.pipeline, stage=stage.name, revision=plan.revision
            )
            draft = None
            if stage.engine.draft is not None:
                from omnipipe.engines.autoregressive.draft import load_draft

                draft = load_draft(stage.engine.draft, stage.engine.dtype)
            return AutoregressiveEngine(
                program, stage.engine, stage=stage.name, metrics=metrics, kernel=NativeKernels(), draft=draft
            )
        case _:
            assert_never(stage.engine.kind)


def _probes(plan: Plan, loop: StageLoop, runner: Runner, registry: Registry) -> Probes:
    def not_live() -> str | None:
        now = time.monotonic()
        idle_s, started = now - loop.last_turn, runner.step_started
        if idle_s > _TICK_S:
            return f"the I/O loop has not turned for {idle_s:.1f} s"
        if started and now - started > plan.transport.stalled_after_s:
            return f"an engine step has been running for {now - started:.0f} s"
        return None

    def not_ready() -> str | None:
        if loop.draining:
            return "draining"
        return None if runner.loaded else "the program is loading"

    return Probes(not_live, not_ready, registry.render, CONTENT_TYPE)


@contextmanager
def _signals(loop: StageLoop) -> Iterator[None]:
    """The first SIGTERM or SIGINT drains, the second stops at once."""

    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        loop.stop(Stop.NOW if asked else Stop.DRAIN)
        asked = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ready(fd: int | None, *, inline: bool) -> None:
    gc.freeze()  # what start-up made stays: the collector need not look at it again
    if inline:  # elsewhere a cycle may hold tensors
        gc.set_threshold(COLLECT_EVERY)
    if fd is None:
        return
    try:
        os.write(fd, b"ready\n")
        os.close(fd)
    except OSError:
        _log.warning("nobody reads that this stage is ready")


def _remove_socket(listen: str) -> None:
    """Nobody listens there any more."""
    if listen.startswith("ipc://"):
        Path(listen.removeprefix("ipc://")).unlink(missing_ok=True)
