"""`omnipipe profile`: what a folder of request events says."""

import sys

from omnipipe.cli.arguments import ProfileArgs
from omnipipe.cli.errors import CommandError
from omnipipe.cli.exits import Exit
from omnipipe.observe.reading import load_events
from omnipipe.observe.report import render_report, render_timeline

__all__ = ["run"]


def run(args: ProfileArgs) -> Exit:
    if not args.folder.is_dir():
        raise CommandError(f"{args.folder} is not a folder", Exit.INVALID)
    try:
        recording = load_events(args.folder)
    except OSError as error:
        raise CommandError(f"cannot read {args.folder}: {error.strerror}", Exit.INVALID) from error
    if args.request is None:
        sys.stdout.write(render_report(recording))
        return Exit.OK
    timeline = recording.timeline(args.request)
    if not timeline:
        raise CommandError(f"{args.folder} has no events of request {args.request!r}", Exit.INVALID)
    sys.stdout.write(render_timeline(timeline))
    return Exit.OK
