"""`argv` into frozen `Arguments`; runs nothing."""

import argparse
from collections.abc import Sequence

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
from omnipipe.cli.commands import INNER, command_parser

__all__ = ["parse"]


def parse(argv: Sequence[str]) -> Arguments:
    """Exits with 2 and a usage line when the command line is wrong."""
    given = command_parser(inner=INNER in argv[:1]).parse_args(argv)
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
