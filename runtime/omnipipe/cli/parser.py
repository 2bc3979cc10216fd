"""The command line, word for word. Turns `argv` into frozen `Arguments`; runs nothing."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from omnipipe import __version__
from omnipipe.cli import exits
from omnipipe.cli.arguments import (
    Arguments,
    FamiliesArgs,
    FetchArgs,
    GatewayArgs,
    GatewayOptions,
    GraphArgs,
    KeysArgs,
    NurseryArgs,
    PlanArgs,
    ProcessOptions,
    ProfileArgs,
    ServeArgs,
    StageArgs,
    ValidateArgs,
)

__all__ = ["parse"]


def parse(argv: Sequence[str]) -> Arguments:
    """Exits with 2 and a usage line when the command line is wrong."""
    given = _parser().parse_args(argv)
    match given.command:
        case "serve":
            return ServeArgs(
                files=tuple(given.files),
                run_dir=given.run_dir,
                spawn=given.spawn,
                gateway=_gateway(given),
                process=_process(given),
            )
        case "validate":
            return ValidateArgs(paths=tuple(given.paths))
        case "plan":
            return PlanArgs(file=given.file)
        case "graph":
            return GraphArgs(file=given.file, format=given.format)
        case "families":
            return FamiliesArgs()
        case "fetch":
            return FetchArgs(sources=tuple(given.sources), into=given.into, log_format=given.log_format)
        case "keys":
            return KeysArgs(folder=given.folder)
        case "profile":
            return ProfileArgs(folder=given.folder, request=given.request)
        case "stage":
            return StageArgs(
                plan=given.plan,
                stage=given.stage,
                replica=given.replica,
                admin=given.admin,
                grace_s=given.grace_s,
                threads=given.threads,
                curve_dir=given.curve_dir,
                run_dir=given.run_dir,
                lifeline_fd=given.lifeline_fd,
                process=_process(given),
            )
        case "nursery":
            return NurseryArgs(control_fd=given.control_fd)
        case _:
            return GatewayArgs(
                plans=tuple(given.plans),
                listen_fd=given.listen_fd,
                stage_admin=tuple(given.stage_admin),
                lame_duck_s=given.lame_duck_s,
                curve_dir=given.curve_dir,
                run_dir=given.run_dir,
                lifeline_fd=given.lifeline_fd,
                gateway=_gateway(given),
                process=_process(given),
            )


def _gateway(given: argparse.Namespace) -> GatewayOptions:
    return GatewayOptions(
        host=given.host,
        port=given.port,
        api_keys_file=given.api_keys_file,
        cors_origins=tuple(given.cors_origins),
        max_body_bytes=given.max_body_bytes,
        grace_s=given.grace_s,
        access_log=given.access_log,
        trust_request_id=given.trust_request_id,
    )


def _process(given: argparse.Namespace) -> ProcessOptions:
    return ProcessOptions(
        events_dir=given.events_dir,
        events_of=given.events_of,
        log_format=given.log_format,
        log_level=given.log_level,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="omnipipe",
        description="Serve any-to-any models as pipelines of stages.",
        epilog=exits.HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"omnipipe {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, allow_abbrev=False)

    serve = command("serve", "Run pipelines on this machine: a process for each stage and one gateway.")
    serve.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a manifest; all its pipelines are served")
    serve.add_argument("--run-dir", type=Path, help="folder to make for this run's sockets (default: a temporary one)")
    serve.add_argument(
        "--spawn",
        action="store_true",
        help="start every stage from scratch instead of forking it (always outside Linux)",
    )
    _add_gateway(serve)
    _add_process(serve)

    validate = command("validate", "Check manifests and print everything that is wrong with them.")
    validate.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="FILE|DIR",
        help="a manifest, or a folder of them",
    )

    plan = command("plan", "Print the compiled pipeline as JSON: what a stage or a gateway reads at start.")
    plan.add_argument("file", type=Path, metavar="FILE")

    graph = command("graph", "Show the stages and edges of a manifest's pipelines.")
    graph.add_argument("file", type=Path, metavar="FILE")
    graph.add_argument("--format", choices=("text", "mermaid"), default="text")

    profile = command("profile", "Show where the time of requests went, from a folder of --events-dir.")
    profile.add_argument("folder", type=Path, metavar="DIR")
    profile.add_argument("--request", metavar="ID", help="show this request alone, event by event")

    fetch = command("fetch", "Bring a model here: whole, or not at all, checked before it is used.")
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

    keys = command("keys", "Make the keys that encrypt the wire (CURVE) in a new folder.")
    keys.add_argument("folder", type=Path, metavar="DIR")

    command("families", "List the model families that are installed, with their stages.")

    stage = command("stage", "Run one replica of one stage; what a stage container runs.")
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
        help="processor threads to compute with, unless OMP_NUM_THREADS says (default: one for each core)",
    )
    _add_child(stage)

    gateway = command("gateway", "Run the HTTP gateway of one or several plans; what a gateway container runs.")
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

    nursery = commands.add_parser("nursery", allow_abbrev=False)  # `serve` starts it; not for people, so not listed
    nursery.add_argument("--control-fd", type=_count, required=True)
    nursery.add_argument("--room")
    return parser


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
        "--max-body-bytes", type=_count, default=32 << 20, metavar="N", help="largest request body (default: 32 MiB)"
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
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError("must be from 0 to 65535")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError("must be from 0 to 86400 seconds")
    return value
