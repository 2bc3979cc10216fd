"""One run of `omnipipe serve`: from manifests to running pipelines on this machine, and back to nothing."""

import os
import shlex
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from omnipipe import __version__
from omnipipe.cli.arguments import GatewayOptions, ProcessOptions, ServeArgs
from omnipipe.cli.errors import CommandError
from omnipipe.cli.exits import Exit
from omnipipe.cli.manifests import load
from omnipipe.gateway.keys import KeyRing, KeysError
from omnipipe.local.console import Console, LogFormat
from omnipipe.local.folder import RunFolder, base_folder, sweep
from omnipipe.local.launch import Launcher
from omnipipe.local.layout import Layout, addresses
from omnipipe.local.listener import listen, url_of
from omnipipe.local.output import Output
from omnipipe.local.signals import ignore_stops
from omnipipe.local.supervisor import Supervisor, Timing
from omnipipe.settings import Environment
from omnipipe.spec.cluster_only import given_for_clusters
from omnipipe.spec.plan import Plan
from omnipipe.spec.reader import ValidatedPipeline
from omnipipe.stage.processors import processors

__all__ = ["run"]

_LAST_LINES_S = 1.0
"""How long the end waits for whoever reads the log."""


def run(args: ServeArgs, environment: Environment, launcher: Launcher) -> Exit:
    """`launcher` starts the processes."""
    pipelines = load(args.files)
    try:
        keys = KeyRing.load(environment.api_keys, args.gateway.api_keys_file)
    except KeysError as error:  # the gateway would find it as well, and be started again a few times for it
        raise CommandError(str(error), Exit.INVALID) from error
    _check_events_dir(args.process.events_dir)
    with listen(args.gateway.host, args.gateway.port) as listener:
        base = base_folder(environment.runtime_dir)
        sweep(base)
        folder = RunFolder.create(args.run_dir, base)
        try:
            return _run(args, environment, pipelines, listener, folder, launcher, asks_for_key=bool(keys))
        finally:
            ignore_stops()
            folder.leave()


def _check_events_dir(folder: Path | None) -> None:
    """Later, a process that cannot write loses events and goes on; here somebody still reads what is said."""
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CommandError(f"request events cannot be written to {folder}: {reason}", Exit.INVALID) from error


def _run(
    args: ServeArgs,
    environment: Environment,
    pipelines: Sequence[ValidatedPipeline],
    listener: socket.socket,
    folder: RunFolder,
    launcher: Launcher,
    *,
    asks_for_key: bool,
) -> Exit:
    plans = [one.compile(addresses(folder, index, len(pipelines))) for index, one in enumerate(pipelines)]
    layout = Layout(
        folder,
        plans,
        process_args=_process_args(args.process),
        gateway_args=_gateway_args(args.gateway),
        listen_fd=listener.fileno(),
        launcher=launcher,
        cores=processors(),
    )
    children = layout.children()
    output = Output(sys.stdout.fileno())
    console = Console(
        output,
        LogFormat(args.process.log_format),
        environment.colour and os.isatty(output.fd),
        [child.name for child in children],
    )
    names = ", ".join(plan.pipeline for plan in plans)
    count = len(children) - 1
    console.say(f"omnipipe {__version__}: starting {names}: {count} stage processes and a gateway", event="starting")
    for one in pipelines:
        if fields := given_for_clusters(one.pipeline.spec):
            text = f"  {one.pipeline.name}: without effect here, on a cluster only: {', '.join(fields)}"
            console.say(text, event="cluster_only", pipeline=one.pipeline.name, fields=list(fields))
    supervisor = Supervisor(
        children,
        console,
        on_ready=lambda: _announce(console, plans, url_of(listener), asks_for_key),
        on_drain=listener.close,
        gateway_without=layout.gateway,
        timing=Timing(gateway_grace=args.gateway.grace_s + _GATEWAY_EXTRA_S),
    )
    try:
        finished = supervisor.run()
        if finished:
            console.say("stopped", event="stopped")
    finally:
        output.close(_LAST_LINES_S)
    return Exit.OK if finished else Exit.CUT_SHORT


_GATEWAY_EXTRA_S = 5.0
"""The gateway keeps its own grace period; only one that does not is killed."""


def _announce(console: Console, plans: Sequence[Plan], url: str, asks_for_key: bool) -> None:
    models = [name for plan in plans for name in plan.gateway.served_names]
    word = "model" if len(models) == 1 else "models"
    console.say(f"ready: {url}/v1 ({word}: {', '.join(models)})", event="ready", url=f"{url}/v1", models=models)
    console.say(f"  {_curl(url, models[0], asks_for_key)}", event="hint")


def _curl(url: str, model: str, asks_for_key: bool) -> str:
    body = f'{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "hello out there"}}]}}'
    key = ' -H "authorization: Bearer $OMNIPIPE_API_KEY"' if asks_for_key else ""
    return f"curl -N {url}/v1/chat/completions -H 'content-type: application/json'{key} -d {shlex.quote(body)}"


def _process_args(options: ProcessOptions) -> tuple[str, ...]:
    args: list[str] = ["--log-format", options.log_format, "--log-level", options.log_level]
    if options.events_dir is not None:
        args += ["--events-dir", str(options.events_dir), "--events-of", options.events_of]
    return tuple(args)


def _gateway_args(options: GatewayOptions) -> tuple[str, ...]:
    args = ["--host", options.host, "--grace-s", str(options.grace_s), "--max-body-bytes", str(options.max_body_bytes)]
    if options.api_keys_file is not None:
        args += ["--api-keys-file", str(options.api_keys_file)]
    for origin in options.cors_origins:
        args += ["--cors-origin", origin]
    if not options.access_log:
        args.append("--no-access-log")
    if not options.trust_request_id:
        args.append("--own-request-ids")
    return tuple(args)
