"""`omnipipe keys`: the keys that encrypt and authenticate the wire between machines."""

import sys

from omnipipe.cli.arguments import KeysArgs
from omnipipe.cli.errors import CommandError
from omnipipe.cli.exits import Exit
from omnipipe.wire.keys import write_keys

__all__ = ["run"]


def run(args: KeysArgs) -> Exit:
    try:
        write_keys(args.folder)
    except FileExistsError as error:
        raise CommandError(f"{error.filename} exists: keys are never overwritten", Exit.INVALID) from error
    except OSError as error:
        raise CommandError(f"cannot write keys to {args.folder}: {error.strerror}", Exit.INVALID) from error
    sys.stdout.write(
        f"keys are in {args.folder}; give each stage and gateway --curve-dir (gateways need no server.key)\n"
    )
    return Exit.OK
