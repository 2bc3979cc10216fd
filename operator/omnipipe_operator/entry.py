"""Runs the operator and turns whatever ends it into one line and an exit code."""

import asyncio
import os
import sys
import traceback
from enum import IntEnum

import uvloop

from omnipipe.errors import OmnipipeError
from omnipipe.logs import start_logging
from omnipipe_operator.decisions import Decide, Refers
from omnipipe_operator.errors import LeaseLost, WatchEnded
from omnipipe_operator.process import Wrap, operate
from omnipipe_operator.process_settings import ProcessSettings

__all__ = ["Exit", "run"]


class Exit(IntEnum):
    """As for `omnipipe`; `omnipipe-operator --help` says the same."""

    OK = 0
    START_FAILED = 3
    CUT_SHORT = 4
    BUG = 70


def run(settings: ProcessSettings, decide: Decide, refers: Refers, wrap: Wrap = lambda cluster: cluster) -> Exit:
    start_logging(settings.log_format, settings.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(operate(settings, decide, refers, wrap))
    except (LeaseLost, WatchEnded) as error:
        return _complain(f"{error}; stopping", Exit.CUT_SHORT)
    except OmnipipeError as error:
        return _complain(str(error), Exit.START_FAILED)
    except KeyboardInterrupt:
        return Exit.OK
    except Exception as error:  # the boundary of the process: a bug is one line too
        text = f"{type(error).__name__}: {error}".rstrip(": ")
        return _complain(f"this is a bug: {text} (OMNIPIPE_DEBUG=1 shows where)", Exit.BUG)
    return Exit.OK


def _complain(message: str, code: Exit) -> Exit:
    if os.environ.get("OMNIPIPE_DEBUG") == "1":
        traceback.print_exc()
    sys.stderr.write(f"omnipipe-operator: {message}\n")
    return code
