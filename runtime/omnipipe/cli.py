"""The `omnipipe` command."""


def main() -> None:
    """Replaced by the command line proper."""
