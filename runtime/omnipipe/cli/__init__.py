"""The `omnipipe` command. Every command imports what it needs when it runs: a stage must not pay for a gateway."""

from omnipipe.cli.entry import main

__all__ = ["main"]
