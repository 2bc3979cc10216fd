"""`omnipipe stage` and `omnipipe gateway`: one process each, in a container or under `omnipipe serve`.

Under `serve` they first take hold of its lifeline, before the imports that take time, and leave the run folder last.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from omnipipe.cli.arguments import GatewayArgs, StageArgs
from omnipipe.cli.errors import CommandError, UnreadableFile
from omnipipe.cli.exits import Exit
from omnipipe.errors import Stopped
from omnipipe.local.folder import RunFolder
from omnipipe.local.lifeline import Lifeline
from omnipipe.logs import start_logging
from omnipipe.settings import Environment
from omnipipe.stage.processors import processors

if TYPE_CHECKING:
    from omnipipe.spec.plan import Plan

__all__ = ["gateway", "stage"]


def stage(args: StageArgs) -> int:
    with _supervised(args.run_dir, args.lifeline_fd):
        start_logging(args.process.log_format, args.process.log_level)
        os.environ.setdefault("OMP_NUM_THREADS", str(args.threads or processors()))  # read when torch is loaded
        from omnipipe.stage.process import run_stage
        from omnipipe.stage.settings import StageSettings

        plan = _read_plan(args.plan)
        names = [stage.name for stage in plan.stages]
        if args.stage not in names:
            raise CommandError(f"{args.plan} has no stage {args.stage!r}; it has {', '.join(names)}", Exit.INVALID)
        settings = StageSettings(
            admin=args.admin or None,
            grace_s=args.grace_s,
            ready_fd=_ready_fd(args.lifeline_fd),
            curve_dir=args.curve_dir,
            events_dir=args.process.events_dir,
            events_of_all=args.process.events_of == "all",
        )
        return run_stage(plan, args.stage, args.replica, settings)


def gateway(args: GatewayArgs, environment: Environment) -> int:
    with _supervised(args.run_dir, args.lifeline_fd):
        start_logging(args.process.log_format, args.process.log_level)
        from omnipipe.gateway.keys import KeysError
        from omnipipe.gateway.serve import run_gateway
        from omnipipe.gateway.settings import GatewaySettings

        options = args.gateway
        settings = GatewaySettings(
            host=options.host,
            port=options.port,
            api_keys=environment.api_keys,
            api_keys_file=options.api_keys_file,
            max_body_bytes=options.max_body_bytes,
            cors_origins=options.cors_origins,
            access_log=options.access_log,
            trust_request_id=options.trust_request_id,
            grace_s=options.grace_s,
            listen_fd=args.listen_fd,
            ready_fd=_ready_fd(args.lifeline_fd),
            curve_dir=args.curve_dir,
            events_dir=args.process.events_dir,
            events_of_all=args.process.events_of == "all",
            stage_admin=args.stage_admin,
            lame_duck_s=args.lame_duck_s,
        )
        plans = [_read_plan(path) for path in args.plans]
        try:
            return run_gateway(plans, settings)
        except KeysError as error:
            raise CommandError(str(error), Exit.INVALID) from error


@contextmanager
def _supervised(run_dir: Path | None, lifeline_fd: int | None) -> Iterator[None]:
    """Until the process proper installs handlers of its own, SIGTERM ends it through the `finally` here."""
    signal.signal(signal.SIGTERM, _exit)
    folder = None
    try:
        folder = RunFolder.join(run_dir) if run_dir is not None else None
        if lifeline_fd is not None:
            Lifeline(lifeline_fd, folder)  # it may find the supervisor gone, and end us, at once
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not stop the tidying half-way
        if folder is not None:
            folder.leave()


def _exit(number: int, frame: FrameType | None) -> None:
    raise Stopped(Exit.OK)


def _ready_fd(lifeline_fd: int | None) -> int | None:
    """The word `ready` goes back over the lifeline; a duplicate, for the process closes it when the word is out."""
    return None if lifeline_fd is None else os.dup(lifeline_fd)


def _read_plan(path: Path) -> "Plan":
    from omnipipe.spec.errors import PlanError
    from omnipipe.spec.plan import Plan

    try:
        return Plan.from_json(path.read_bytes())
    except OSError as error:
        raise UnreadableFile(path, (error.strerror or str(error)).lower()) from error
    except PlanError as error:
        raise CommandError(f"{path}: {error}", Exit.INVALID) from error
