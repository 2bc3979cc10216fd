"""The cluster that the tests use, and the images in it."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.cluster.builder import find_builder
from scripts.cluster.images import OWN_BASE, build_image, image_name, inputs_hash, load_image
from scripts.cluster.machine import Machine, existing_kubeconfig
from scripts.cluster.programs import find_program

__all__ = ["Cluster", "Images", "given_cluster", "make_image", "make_images", "own_cluster"]

_KUBECTL_S = 120.0


@dataclass(frozen=True, slots=True)
class Images:
    operator: str
    gateway: str
    stage: str


@dataclass(frozen=True, slots=True)
class Cluster:
    kubeconfig: Path
    machine: Machine | None
    """None: somebody else's. Its addresses are not reachable from here, its nodes pull images from a registry."""

    def kubectl(self, *args: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*args),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_KUBECTL_S,
            check=False,
            env={"HOME": str(self.kubeconfig.parent), "PATH": "/usr/bin:/bin"},
        )

    def command(self, *args: str | Path) -> list[str | Path]:
        return [find_program("kubectl"), f"--kubeconfig={self.kubeconfig}", *args]


def given_cluster() -> Cluster | None:
    """The one of KUBECONFIG. Raises CannotRun, ClusterError when it does not answer."""
    kubeconfig = existing_kubeconfig()
    return None if kubeconfig is None else Cluster(kubeconfig, None)


@contextmanager
def own_cluster() -> Iterator[Cluster]:
    """Raises CannotRun."""
    machine = Machine()
    started = machine.up()
    try:
        yield Cluster(machine.layout.kubeconfig, machine)
    finally:
        if started and not os.environ.get("OMNIPIPE_KEEP_CLUSTER"):
            machine.down()


def _forget_older(name: str, prefix: str) -> None:
    """Builds of this tree as it was: they would fill the disk."""
    builder = find_builder()
    for other in builder.names(name.rpartition(":")[0]):
        if other != name and re.fullmatch(f"{prefix}[0-9a-f]{{12}}", other.rpartition(":")[2]):
            builder.forget(other)


def make_images(cluster: Cluster) -> Images:
    """Those of OMNIPIPE_IMAGES (`registry.example/omnipipe-{target}:tag`), or built of this tree."""
    given = os.environ.get("OMNIPIPE_IMAGES")
    if given:
        return Images(*(given.replace("{target}", target) for target in ("operator", "gateway", "stage")))
    if cluster.machine is None:
        raise RuntimeError("KUBECONFIG is set: OMNIPIPE_IMAGES must name images that its nodes can pull")
    slim = {"STAGE_EXTRA": "hub"}
    made = (make_image(cluster.machine, *one) for one in (("operator", {}), ("gateway", {}), ("stage", slim)))
    return Images(*made)


def make_image(machine: Machine, target: str, arguments: dict[str, str], prefix: str = "") -> str:
    """Of this tree; its name. Built and brought to the node unless it is there. `prefix`: of its tag."""
    tag = prefix + inputs_hash(repr(arguments))
    name = image_name(target, tag)
    if name in machine.image_names():
        return name
    if not find_builder().has(name):
        build_image(target, tag, base=OWN_BASE, arguments=arguments)
        _forget_older(name, prefix)
    load_image(name, machine)
    return name
