"""Runs a command and turns whatever ends it into one line and an exit code."""

import errno
import logging
import os
import sys
import traceback
from collections.abc import Sequence

from omnipipe.cli.arguments import (
    Arguments,
    FamiliesArgs,
    FetchArgs,
    GatewayArgs,
    GraphArgs,
    KeysArgs,
    NurseryArgs,
    PlanArgs,
    ProfileArgs,
    ServeArgs,
    StageArgs,
    ValidateArgs,
)
from omnipipe.cli.errors import CommandError
from omnipipe.cli.exits import Exit
from omnipipe.cli.open_files import allow_open_files
from omnipipe.cli.parser import parse
from omnipipe.cli.standard_streams import discard_stdout, open_standard_streams
from omnipipe.errors import OmnipipeError
from omnipipe.settings import Environment

__all__ = ["main"]

_PREFIX = "omnipipe: "
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None) -> None:
    open_standard_streams()
    environment = Environment.read(os.environ)
    args = parse(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(args, environment)
        sys.stdout.flush()
    except CommandError as error:
        code = _complain(str(error), error.code, environment, prefix="" if error.located else _PREFIX)
    except OmnipipeError as error:
        code = _complain(str(error), Exit.START_FAILED, environment)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        discard_stdout()
        code = Exit.OK
    except Exception as error:  # the boundary of the process: a bug is one line too
        if isinstance(error, OSError) and error.errno in _FULL:
            discard_stdout()
            where = error.filename or "what this command prints"
            code = _complain(f"cannot write {where}: {os.strerror(error.errno).lower()}", Exit.INVALID, environment)
        else:
            text = f"{type(error).__name__}: {error}".rstrip(": ")
            code = _complain(f"this is a bug: {text} (OMNIPIPE_DEBUG=1 shows where)", Exit.BUG, environment)
    sys.exit(code)


def _run(args: Arguments, environment: Environment) -> int:
    match args:
        case StageArgs():
            from omnipipe.cli.processes import stage

            allow_open_files()
            return _leave(stage(args))
        case GatewayArgs():
            from omnipipe.cli.processes import gateway

            allow_open_files()
            return gateway(args, environment)
        case ServeArgs():
            from omnipipe.cli.serve import serve

            allow_open_files()
            return serve(args, environment)
        case NurseryArgs():
            from omnipipe.cli import nursery

            words = nursery.run(args)
            return Exit.OK if words is None else _run(parse(words), environment)
        case ValidateArgs() | PlanArgs() | GraphArgs() | FamiliesArgs():
            from omnipipe.cli import show

            return show.run(args)
        case FetchArgs():
            from omnipipe.cli import fetch

            return fetch.run(args)
        case KeysArgs():
            from omnipipe.cli import keys

            return keys.run(args)
        case ProfileArgs():
            from omnipipe.cli import profile

            return profile.run(args)


def _leave(code: int) -> int:
    """A stage with torch ends without taking the interpreter apart: what comes with torch complains of what it finds
    then, for pages. Everything of ours is closed by now, and a process that runs a stage runs nothing else."""
    if "torch" in sys.modules:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _complain(message: str, code: Exit, environment: Environment, prefix: str = _PREFIX) -> Exit:
    if environment.debug:
        traceback.print_exc()
    sys.stderr.write(f"{prefix}{message}\n")
    return code
