"""`python -m scripts.cluster up|down|images`: what the make targets call."""

import argparse
import sys
import time
from pathlib import Path

from scripts.cluster.errors import ClusterError
from scripts.cluster.images import TARGETS, build_image
from scripts.cluster.layout import Layout
from scripts.cluster.machine import Machine, existing_kubeconfig


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the cluster unless it stands")
    commands.add_parser("down", help="remove it without a trace")
    images = commands.add_parser("images", help="build the images")
    images.add_argument("targets", nargs="*", default=list(TARGETS), metavar="TARGET")
    images.add_argument("--base", default=None)
    images.add_argument("--tag", default="dev")
    args = parser.parse_args()
    try:
        match args.command:
            case "up":
                _up()
            case "down":
                print("cluster: removed" if Machine().down() else "cluster: there is none")
            case _:
                for target in args.targets:
                    print(build_image(target, args.tag, base=args.base))
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    return 0


def _up() -> None:
    began = time.monotonic()
    given = existing_kubeconfig()
    if given is not None:
        print(f"cluster: KUBECONFIG is set and its server answers; using {given}")
        return
    started = Machine().up(lambda step: print(f"cluster: {step}", file=sys.stderr, flush=True))
    print(f"cluster: {'ready' if started else 'stands already'} ({time.monotonic() - began:.1f} s)", file=sys.stderr)
    print(f"export KUBECONFIG={Path(Layout().kubeconfig)}")


if __name__ == "__main__":
    sys.exit(main())
