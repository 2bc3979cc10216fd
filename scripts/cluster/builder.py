"""The machine's builder of images: buildah, podman or docker, one as good as another."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.cluster.errors import CannotRun, ClusterError

__all__ = ["Builder", "find_builder"]

_BUILD_S: Final = 3600.0
_POLICY: Final = Path("/etc/containers/policy.json")


@dataclass(frozen=True, slots=True)
class Builder:
    name: str

    def has(self, image: str) -> bool:
        told = ["inspect", "--type=image", image] if self.name == "buildah" else ["image", "inspect", image]
        return self._run(told).returncode == 0

    def names(self, repository: str) -> list[str]:
        """Of the images there are of it."""
        told = ["images", "--format", "{{.Name}}:{{.Tag}}" if self.name == "buildah" else "{{.Repository}}:{{.Tag}}"]
        return [line for line in self._run([*told, repository]).stdout.split() if line.startswith(f"{repository}:")]

    def forget(self, image: str) -> None:
        """As far as nothing else needs it."""
        self._run(["rmi", image])

    def build(self, context: Path, args: list[str]) -> None:
        """Raises ClusterError with the builder's last words."""
        told = {"buildah": ["bud", "--layers"], "podman": ["build", "--layers"], "docker": ["build"]}[self.name]
        self._done([*told, "--network=host", *self._of_this_machine(), *args, str(context)])

    def save(self, image: str, archive: Path) -> None:
        """As an archive in `docker save` format."""
        archive.unlink(missing_ok=True)
        if self.name == "buildah":
            self._done(["push", "--quiet", image, f"docker-archive:{archive}:{image}"])
        else:
            self._done(["save", "--output", str(archive), image])

    def _of_this_machine(self) -> list[str]:
        """Its certificates and pip's configuration, for the time of the build: it may sit behind a proxy that only it
        knows. Nothing of it stays in the image. Docker has no such option."""
        if self.name == "docker":
            return []
        places = [place for place in (Path("/etc/ssl/certs"), Path("/etc/pip.conf")) if place.exists()]
        return [f"--volume={place}:{place}:ro" for place in places]

    def _done(self, args: list[str]) -> None:
        done = self._run(args)
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
            raise ClusterError(f"{self.name} {args[0]} ended with {done.returncode}:\n{tail}")

    def _run(self, args: list[str]) -> subprocess.CompletedProcess[str]:
        environment = dict(os.environ)
        if self.name == "buildah" and os.geteuid() == 0:
            # chroot: needs nothing of the machine that a container would lack.
            environment |= {"STORAGE_DRIVER": "overlay", "BUILDAH_ISOLATION": "chroot"}
        if self.name == "docker":
            environment["DOCKER_BUILDKIT"] = "1"  # what it is not by default before version 23; the Dockerfile needs it
        return subprocess.run(
            [self.name, *args],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_BUILD_S,
            check=False,
        )


def find_builder() -> Builder:
    """Raises CannotRun."""
    for name in ("buildah", "podman"):
        if shutil.which(name):
            if not _POLICY.exists() and os.geteuid() == 0 and name == "buildah":
                raise CannotRun(f"{name} needs {_POLICY}; Debian's golang-github-containers-image has one")
            return Builder(name)
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        return Builder("docker")
    raise CannotRun(
        "no buildah, no podman and no running docker to build images with; on Debian: apt-get install buildah"
    )
