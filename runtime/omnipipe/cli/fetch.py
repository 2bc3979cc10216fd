"""`omnipipe fetch`: models from their sources to folders, whole or not at all."""

import logging
import os
import sys

from omnipipe.cli.arguments import FetchArgs
from omnipipe.cli.errors import CommandError
from omnipipe.cli.exits import Exit
from omnipipe.logs import start_logging
from omnipipe.weights import WeightsSettings, resolve
from omnipipe.weights.errors import HubUnreachable, NoSpace, WeightsError
from omnipipe.weights.progress import report_for
from omnipipe.weights.resolve import fetch

__all__ = ["run"]


def run(args: FetchArgs) -> Exit:
    start_logging(args.log_format, "info")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line a request is not for people
    settings = WeightsSettings.read(os.environ)
    report = report_for(sys.stderr)
    try:
        for source in args.sources:
            if args.into is None:
                folder = resolve(source, settings=settings, report=report)
            else:
                folder = fetch(source, args.into, settings=settings, report=report)
            sys.stdout.write(f"{folder}\n")
    except (HubUnreachable, NoSpace) as error:
        raise CommandError(str(error), Exit.START_FAILED) from error
    except WeightsError as error:
        raise CommandError(str(error), Exit.INVALID) from error
    return Exit.OK
