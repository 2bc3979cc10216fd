"""A real Kubernetes control plane for tests: etcd, kube-apiserver and kube-controller-manager on loopback, with
certificates and data of its own in one folder. No kubelet and no scheduler: objects live here, pods do not run.
"""

import http.client
import json
import ssl
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.cluster.certificates import Certificates, make_certificates
from tests.cluster.daemon import Daemon, eventually
from tests.cluster.programs import Programs
from tests.ports import free_port

__all__ = ["ControlPlane"]

_LOCAL = "127.0.0.1"
_REQUEST_S = 30.0


class ControlPlane:
    """Stands while the `with` block does. Ended in the order in which they need each other, each waited for.

    `crds`: a folder of kinds that are there before the controllers start, for the garbage collector looks for new ones
    every 30 s only, and until then leaves alone what they own. `flags`: more of the API server's. `controllers`: those
    that the controller-manager runs, as its own flag has them."""

    def __init__(
        self,
        programs: Programs,
        folder: Path,
        crds: Path,
        flags: Sequence[str] = (),
        controllers: Sequence[str] = ("*",),
    ) -> None:
        self.programs, self.folder, self.crds, self.flags = programs, folder, crds, flags
        self.controllers = controllers
        self.kubeconfig = folder / "kubeconfig"
        self._port = free_port()
        self._etcd_url = f"http://{_LOCAL}:{free_port()}"
        self._running = ExitStack()

    @property
    def url(self) -> str:
        return f"https://{_LOCAL}:{self._port}"

    def __enter__(self) -> Self:
        with ExitStack() as started:
            self._certificates = make_certificates(self.folder / "certificates")
            self._write_kubeconfig(self._certificates)
            started.callback(self._start_etcd().stop)
            self._apiserver = self._start_apiserver()
            started.callback(lambda: self._apiserver.stop())
            self._install_crds()
            started.callback(self._start_controllers().stop)
            self._running = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def stop_apiserver(self) -> None:
        """At once, as when its machine fails: nobody answers from now on. Nothing that it had answered for is lost."""
        self._apiserver.kill()

    def start_apiserver(self) -> None:
        """After `stop_apiserver`: at the same address, ready."""
        self._apiserver = self._start_apiserver()

    def kubeconfig_of(self, namespace: str, account: str) -> Path:
        """For a service account: what a pod that runs as it may do, and nothing else."""
        done = self.kubectl("create", "token", account, f"--namespace={namespace}", "--duration=4h")
        if done.returncode != 0:
            raise RuntimeError(f"no token for {namespace}/{account}: {done.stderr}")
        config = json.loads(self.kubeconfig.read_text(encoding="utf-8"))
        config["users"] = [{"name": "admin", "user": {"token": done.stdout.strip()}}]
        path = self.folder / f"kubeconfig-{namespace}-{account}"
        path.write_text(json.dumps(config, indent=1), encoding="utf-8")
        return path

    def kubectl(self, *args: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """As a person would, who may do anything; nothing is read from or written to that person's home."""
        return subprocess.run(
            [self.programs.kubectl, f"--kubeconfig={self.kubeconfig}", *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin"},
        )

    def status_of(self, path: str) -> int:
        """HTTP status of a GET to the API server; 0 while nobody answers."""
        context = ssl.create_default_context(cafile=self._certificates.authority)
        context.load_cert_chain(self._certificates.admin, self._certificates.admin.with_suffix(".key"))
        connection = http.client.HTTPSConnection(_LOCAL, self._port, context=context, timeout=_REQUEST_S)
        return _status(connection, path)

    def _start_etcd(self) -> Daemon:
        peer = f"http://{_LOCAL}:{free_port()}"
        daemon = self._daemon(
            self.programs.etcd,
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls={self._etcd_url}",
            f"--advertise-client-urls={self._etcd_url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",  # a machine that loses power loses no test data worth keeping
        )
        port = int(self._etcd_url.rpartition(":")[2])
        return _ready(
            daemon,
            lambda: _status(http.client.HTTPConnection(_LOCAL, port, timeout=_REQUEST_S), "/health") == 200,
            "etcd is healthy",
        )

    def _start_apiserver(self) -> Daemon:
        own = self._certificates
        daemon = self._daemon(
            self.programs.kube_apiserver,
            f"--etcd-servers={self._etcd_url}",
            f"--bind-address={_LOCAL}",
            f"--advertise-address={_LOCAL}",
            "--endpoint-reconciler-type=none",  # an endpoint on loopback is refused, over and over
            f"--secure-port={self._port}",
            f"--tls-cert-file={own.server}",
            f"--tls-private-key-file={own.server.with_suffix('.key')}",
            f"--client-ca-file={own.authority}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={own.accounts.with_suffix('.pub')}",
            f"--service-account-signing-key-file={own.accounts}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--profiling=false",
            *self.flags,
        )
        return _ready(daemon, lambda: self.status_of("/readyz") == 200, "/readyz answers 200")

    def _install_crds(self) -> None:
        done = self.kubectl("apply", "--server-side", "-f", self.crds)
        if done.returncode != 0:
            raise RuntimeError(f"{self.crds}: {done.stderr}")
        # `kubectl wait` itself fails on an object that has no status yet: so it is asked until it does not
        waiting = ("wait", "--for=condition=Established", "--timeout=30s", "-f", self.crds)
        eventually(lambda: self.kubectl(*waiting).returncode == 0, "the kinds are established")

    def _start_controllers(self) -> Daemon:
        daemon = self._daemon(
            self.programs.kube_controller_manager,
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={self._certificates.accounts}",
            f"--root-ca-file={self._certificates.authority}",
            f"--controllers={','.join(self.controllers)}",
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
        )
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        return _ready(daemon, lambda: self.status_of(account) == 200, "a service account has been made")

    def _daemon(self, program: Path, *args: str) -> Daemon:
        return Daemon(program, args, self.folder / f"{program.name}.log")

    def _write_kubeconfig(self, own: Certificates) -> None:
        cluster = {"server": self.url, "certificate-authority": str(own.authority)}
        user = {"client-certificate": str(own.admin), "client-key": str(own.admin.with_suffix(".key"))}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "admin", "user": user}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "admin"}}],
            "current-context": "tests",
        }
        self.kubeconfig.write_text(json.dumps(config, indent=1), encoding="utf-8")


def _ready(daemon: Daemon, look: Callable[[], bool], what: str) -> Daemon:
    try:
        daemon.wait_for(look, what)
    except BaseException:
        daemon.stop()
        raise
    return daemon


def _status(connection: http.client.HTTPConnection, path: str) -> int:
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
