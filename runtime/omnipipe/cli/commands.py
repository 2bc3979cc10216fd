"""The commands and their options, word for word, as argparse has them."""

import argparse
from pathlib import Path
from typing import Protocol

from omnipipe import __version__
from omnipipe.cli import exits

__all__ = ["INNER", "command_parser"]

INNER = "nursery"
"""What `serve` forks its stages from."""


class _Add(Protocol):
    """A command of that name, with what it is for."""

    def __call__(self, name: str, text: str) -> argparse.ArgumentParser: ...


def command_parser(*, inner: bool = False) -> argparse.ArgumentParser:
    """In the order in which they are listed. `inner`: with those that are not for people."""
    parser = argparse.ArgumentParser(
        prog="omnipipe",
        description="Serve any-to-any models as pipelines of stages.",
        epilog=exits.HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"omnipipe {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, allow_abbrev=False)

    _serve(add)
    _looking(add)
    _making(add)
    add("families", "List the model families that are installed, with their stages.")
    _stage(add)
    _gateway(add)
    if inner:
        nursery = commands.add_parser(INNER, allow_abbrev=False)
        nursery.add_argument("--control-fd", type=_count, required=True)
        nursery.add_argument("--room")
    return parser


def _serve(add: _Add) -> None:
    serve = add("serve", "Run pipelines on this machine: a process for each stage and one gateway.")
    serve.add_argument(
        "files", nargs="+", type=_path, metavar="FILE", help="a manifest, or - for stdin; all its pipelines are served"
    )
    serve.add_argument("--run-dir", type=Path, help="folder to make for this run's sockets (default: a temporary one)")
    serve.add_argument(
        "--spawn",
        action="store_true",
        help="start every stage from scratch instead of forking it (always outside Linux)",
    )
    _add_gateway(serve)
    _add_process(serve)


def _looking(add: _Add) -> None:
    """Commands that read and print."""
    validate = add("validate", "Check manifests and print everything that is wrong with them.")
    validate.add_argument(
        "paths",
        nargs="+",
        type=_path,
        metavar="FILE|DIR",
        help="a manifest, or a folder of them",
    )

    plan = add("plan", "Print the compiled pipeline as JSON: what a stage or a gateway reads at start.")
    plan.add_argument("file", type=Path, metavar="FILE")

    graph = add("graph", "Show the stages and edges of a manifest's pipelines.")
    graph.add_argument("file", type=Path, metavar="FILE")
    graph.add_argument("--format", choices=("text", "mermaid"), default="text")

    profile = add("profile", "Show where the time of requests went, from a folder of --events-dir.")
    profile.add_argument("folder", type=Path, metavar="DIR")
    profile.add_argument("--request", metavar="ID", help="show this request alone, event by event")


def _making(add: _Add) -> None:
    """Commands that leave something in a folder."""
    fetch = add("fetch", "Bring a model here: whole, or not at all, checked before it is used.")
    fetch.add_argument(
        "sources", metavar="SOURCE", nargs="+", help="hf://owner/name[@revision], builtin://name or file:///path"
    )
    fetch.add_argument(
        "--into",
        type=Path,
        metavar="DIR",
        help="folder of models, for processes with OMNIPIPE_MODELS=DIR (default: the hub library's own cache)",
    )
    fetch.add_argument("--log-format", choices=("text", "json"), default="text")

    keys = add("keys", "Make the keys that encrypt the wire (CURVE) in a new folder.")
    keys.add_argument("folder", type=Path, metavar="DIR")


def _stage(add: _Add) -> None:
    stage = add("stage", "Run one replica of one stage; what a stage container runs.")
    stage.add_argument("--plan", type=Path, required=True, help="the plan file")
    stage.add_argument("--stage", required=True, help="which stage of the plan")
    stage.add_argument("--replica", type=_count, default=0, help="which replica, counted from 0 (default: 0)")
    stage.add_argument(
        "--admin",
        default="0.0.0.0:9000",
        metavar="ADDRESS",
        help="where /livez, /readyz and /metrics are: host:port or unix:/path (default: %(default)s)",
    )
    stage.add_argument("--grace-s", type=_seconds, default=30.0, help="on SIGTERM, time to finish (default: 30)")
    stage.add_argument(
        "--threads",
        type=_count,
        metavar="N",
        help="processor threads to compute with, unless OMP_NUM_THREADS says (default: one for each core, "
        "fewer under a CPU limit)",
    )
    _add_child(stage)


def _gateway(add: _Add) -> None:
    gateway = add("gateway", "Run the HTTP gateway of one or several plans; what a gateway container runs.")
    gateway.add_argument("--plan", type=Path, required=True, nargs="+", dest="plans", help="the plan files")
    gateway.add_argument(
        "--stage-admin",
        nargs="*",
        default=(),
        metavar="ADDRESS",
        help="admin addresses of stages on this machine, whose metrics /metrics shows too",
    )
    gateway.add_argument(
        "--lame-duck-s",
        type=_seconds,
        default=0.0,
        help="on a stop, time to go on serving while /readyz says no, so that load balancers hear of it (default: 0)",
    )
    gateway.add_argument("--listen-fd", type=_count, help="descriptor of a socket that listens already")
    _add_gateway(gateway)
    _add_child(gateway)


def _add_gateway(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=_port, default=8000, help="port to listen on; 0: any free one (default: 8000)")
    parser.add_argument(
        "--api-keys-file", type=Path, metavar="FILE", help="ask clients for one of its keys, one a line"
    )
    parser.add_argument(
        "--cors-origin",
        action="append",
        default=[],
        dest="cors_origins",
        metavar="ORIGIN",
        help="let pages of this origin call, '*' for any; may be repeated (default: none)",
    )
    parser.add_argument(
        "--max-body-bytes", type=_size, default=32 << 20, metavar="N", help="largest request body (default: 32 MiB)"
    )
    parser.add_argument("--grace-s", type=_seconds, default=30.0, help="on a stop, time to finish (default: 30)")
    parser.add_argument("--no-access-log", action="store_false", dest="access_log", help="no log line for each request")
    parser.add_argument(
        "--own-request-ids",
        action="store_false",
        dest="trust_request_id",
        help="ignore the x-request-id of clients and make one for each request",
    )


def _add_process(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--events-dir", type=Path, metavar="DIR", help="write the events of requests there (JSON lines)"
    )
    parser.add_argument(
        "--events-of",
        choices=("all", "asked"),
        default="all",
        help="of all requests, or of those that ask with 'events': true (default: all)",
    )
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")


def _add_child(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--curve-dir", type=Path, metavar="DIR", help="folder with the keys that encrypt the wire")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="set by `serve`: the folder of its run")
    parser.add_argument("--lifeline-fd", type=_count, metavar="N", help="set by `serve`: how to know that it has ended")
    _add_process(parser)


def _count(text: str) -> int:
    value = _whole(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def _path(text: str) -> Path:
    if not text:  # a variable that is not set; Path("") would be the folder one is in
        raise argparse.ArgumentTypeError("must not be empty")
    return Path(text)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None


def _size(text: str) -> int:
    value = _whole(text)
    if not 1 <= value <= 1 << 40:
        raise argparse.ArgumentTypeError("must be from 1 to 1099511627776 bytes")
    return value


def _port(text: str) -> int:
    value = _whole(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError("must be from 0 to 65535")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, not {text!r}") from None
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError("must be from 0 to 86400 seconds")
    return value
