"""The operator's command line, read once into frozen settings."""

import argparse
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from omnipipe_operator.process_settings import Listen, ProcessSettings, WebhookSettings
from omnipipe_operator.settings import OperatorSettings

__all__ = ["parse"]

_ACCOUNT_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_EPILOG: Final = """\
exit codes:
  0    it was told to stop, and did
  2    the command line is wrong
  3    it could not start: no way to the cluster, no CRDs, no rights, a port that is taken
  4    it had to stop: the lease was lost, or the watch ended; started again it goes on
  70   a bug in omnipipe; OMNIPIPE_DEBUG=1 shows the traceback
"""


def parse(argv: Sequence[str], environment: Mapping[str, str] = os.environ) -> tuple[ProcessSettings, OperatorSettings]:
    """Exits with 2 when something is wrong with it."""
    parser = _parser()
    args = parser.parse_args(argv)
    own = _own_namespace(environment)
    webhook = None
    if args.webhook_cert_dir is not None:
        folder = args.webhook_cert_dir
        webhook = WebhookSettings(listen=args.webhook_listen, certificate=folder / "tls.crt", key=folder / "tls.key")
    process = ProcessSettings(
        kubeconfig=args.kubeconfig,
        context=args.context,
        namespaces=tuple(dict.fromkeys(args.namespace)),
        identity=f"{environment.get('POD_NAME') or socket.gethostname()}_{secrets.token_hex(4)}",
        lease_namespace=(args.lease_namespace or own or "default") if args.leader_election else None,
        listen=args.listen,
        webhook=webhook,
        workers=args.workers,
        resync_s=args.resync_s,
        calls_per_s=args.calls_per_s,
        log_format=args.log_format,
        log_level=args.log_level,
    )
    operator = OperatorSettings(
        gateway_image=args.gateway_image,
        stage_image=args.stage_image,
        image_pull_policy=args.image_pull_policy,
        image_pull_secrets=tuple(dict.fromkeys(args.image_pull_secret)),
        allow_host_path=args.allow_host_path,
        cluster_domain=args.cluster_domain,
        operator_namespace=own,
        termination_grace_s=args.termination_grace_s,
    )
    return process, operator


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="omnipipe-operator",
        description="Runs OmniPipeline objects of a Kubernetes cluster.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    cluster = parser.add_argument_group("the cluster")
    cluster.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="else the pod's service account, else kubectl's"
    )
    cluster.add_argument("--context", help="of the kubeconfig; default its current one")
    cluster.add_argument(
        "--namespace", action="append", default=[], metavar="NS", help="look only here (repeat for more); default: all"
    )
    cluster.add_argument("--no-leader-election", dest="leader_election", action="store_false", help="there is only one")
    cluster.add_argument("--lease-namespace", metavar="NS", help="where the lease is; default: the operator's own")
    pods = parser.add_argument_group("the pods it makes")
    pods.add_argument("--gateway-image", required=True, metavar="IMAGE", help="where the manifest names none")
    pods.add_argument("--stage-image", required=True, metavar="IMAGE", help="where the manifest names none")
    pods.add_argument("--image-pull-policy", choices=["Always", "IfNotPresent", "Never"])
    pods.add_argument("--image-pull-secret", action="append", default=[], metavar="NAME")
    pods.add_argument("--allow-host-path", action="store_true", help="file:// sources mount folders of the node")
    pods.add_argument(
        "--cluster-domain", default="", metavar="DOMAIN", help="default: left to the pods' DNS search list"
    )
    pods.add_argument("--termination-grace-s", type=_positive, default=610, metavar="S")
    process = parser.add_argument_group("the process")
    process.add_argument("--listen", type=_listen, default=Listen("0.0.0.0", 8080), metavar="HOST:PORT",
                         help="probes and metrics; default 0.0.0.0:8080")  # fmt: skip
    process.add_argument("--webhook-cert-dir", type=Path, metavar="DIR",
                         help="serve the admission webhook with tls.crt and tls.key of this folder")  # fmt: skip
    process.add_argument("--webhook-listen", type=_listen, default=Listen("0.0.0.0", 9443), metavar="HOST:PORT",
                         help="default 0.0.0.0:9443")  # fmt: skip
    process.add_argument("--workers", type=_positive, default=8, metavar="N")
    process.add_argument("--resync-s", type=_positive, default=600, metavar="S", help="default 600")
    process.add_argument(
        "--calls-per-s", type=_positive, default=0, metavar="N", help="to the API server; default: no limit"
    )
    process.add_argument("--log-format", choices=["text", "json"], default="json")
    process.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _listen(text: str) -> Listen:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, got {text}")
    return Listen(host.strip("[]") or "0.0.0.0", int(port))


def _own_namespace(environment: Mapping[str, str]) -> str:
    """Of the pod that this runs in; empty outside."""
    if "POD_NAMESPACE" in environment:
        return environment["POD_NAMESPACE"]
    try:
        return _ACCOUNT_NAMESPACE.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
