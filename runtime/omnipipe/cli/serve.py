"""`omnipipe serve`. Starts the nursery first: its imports run while this process reads the manifests."""

from omnipipe.cli.arguments import ServeArgs
from omnipipe.cli.exits import Exit
from omnipipe.local.launch import Spawner, fork_launcher
from omnipipe.local.signals import ignore_stops, interrupt_on_stops
from omnipipe.settings import Environment

__all__ = ["serve"]


def serve(args: ServeArgs, environment: Environment) -> Exit:
    interrupt_on_stops()
    launcher = Spawner() if args.spawn else fork_launcher()
    try:
        from omnipipe.cli.session import run

        return run(args, environment, launcher)
    finally:
        ignore_stops()
        launcher.close()
