"""What the exit codes mean. `omnipipe --help` and docs/cli.md say the same."""

from enum import IntEnum

__all__ = ["HELP", "Exit"]


class Exit(IntEnum):
    OK = 0
    INVALID = 1
    USAGE = 2  # argparse's own
    START_FAILED = 3
    CUT_SHORT = 4
    BUG = 70  # EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130  # 128 + SIGINT, as shells do


HELP = """\
exit codes:
  0    all is well; a server that was asked to stop finished its work first
  1    what was given is wrong: a manifest, a plan, a file that is not there
  2    the command line is wrong
  3    the server, or a process of it, could not be started
  4    work was cut short: a second Ctrl-C, or the grace period was over
  70   a bug in omnipipe; OMNIPIPE_DEBUG=1 shows the traceback
  130  Ctrl-C before there was anything to finish
"""
