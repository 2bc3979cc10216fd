"""Brings the cluster up on this machine, and takes it away again without a trace."""

import contextlib
import http.client
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from fcntl import LOCK_EX, flock
from pathlib import Path

from scripts.cluster import components
from scripts.cluster.api import Api
from scripts.cluster.archive import write_program_image
from scripts.cluster.certificates import Authority
from scripts.cluster.errors import ClusterError
from scripts.cluster.layout import Layout
from scripts.cluster.leftovers import cgroup_folders, end_processes, remove_cgroups, unmount_below
from scripts.cluster.network import make_network, remove_network, write_cni
from scripts.cluster.processes import Processes, call, eventually
from scripts.cluster.programs import CNI_FOLDERS, check_machine, find_program

__all__ = ["Machine", "existing_kubeconfig"]

_REQUEST_S = 5.0
_SERVERS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kube-proxy",
    "coredns",
    "kubelet",
    "policy-enforcer",
)


class Machine:
    def __init__(self, layout: Layout | None = None) -> None:
        self.layout = layout or Layout()
        self._processes = Processes(self.layout.state / "processes", self.layout.network.path)
        self._authority = Authority(self.layout.state / "certificates")
        self._api = Api(self.layout, self._authority.folder)

    def up(self, say: Callable[[str], None] = lambda _: None) -> bool:
        """True: it was started. False: it stood already. Raises CannotRun, ClusterError."""
        check_machine()
        with self._alone():
            if self.is_up():
                return False
            if self.layout.state.exists() or self.layout.network.path.exists():
                say("removing what is left of a cluster that does not answer")
                self._remove()
            try:
                self._start(say)
            except BaseException:
                with contextlib.suppress(ClusterError):
                    self._remove()
                raise
        return True

    def down(self) -> bool:
        """True: there was something to remove."""
        with self._alone():
            there = self.layout.state.exists() or self.layout.network.path.exists()
            self._remove()
        return there

    def is_up(self) -> bool:
        if set(self._processes.running()) != set(_SERVERS):
            return False
        with contextlib.suppress(ClusterError):
            node = json.loads(self.kubectl("get", "node", self.layout.node, "-o", "json"))
            return _is_ready(node)
        return False

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        return call(find_program("kubectl"), f"--kubeconfig={self.layout.kubeconfig}", *args, stdin=stdin)

    def load(self, archive: Path) -> None:
        """Brings the images of an archive (`docker save` format) where the node's pods find them."""
        socket = str(self.layout.containerd_socket)
        call(find_program("ctr"), "-a", socket, "-n", "k8s.io", "images", "import", archive, timeout_s=600)

    def name_again(self, image: str, name: str) -> None:
        """The same image, under a further name."""
        socket = str(self.layout.containerd_socket)
        call(find_program("ctr"), "-a", socket, "-n", "k8s.io", "images", "tag", "--force", image, name)

    def image_names(self) -> list[str]:
        socket = str(self.layout.containerd_socket)
        return call(find_program("ctr"), "-a", socket, "-n", "k8s.io", "images", "list", "--quiet").split()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with Path("/run/omnipipe-cluster.lock").open("w") as lock:
            flock(lock, LOCK_EX)
            yield

    def _start(self, say: Callable[[str], None]) -> None:
        say("network and certificates")
        self.layout.state.mkdir(mode=0o755, parents=True)
        make_network(self.layout.network)
        self._authority.make()
        say("control plane")
        self._start_control_plane()
        say("containers")
        self._start_containerd()
        say("node")
        self._start_node()
        eventually(self._node_is_ready, "the node is Ready")
        eventually(self._account_is_made, "the default service account is made")

    def _start_control_plane(self) -> None:
        layout, own = self.layout, self._authority
        addresses = f"IP:127.0.0.1,IP:{layout.network.node_ip},IP:{layout.network.api_service_ip}"
        names = ",".join(f"DNS:kubernetes{tail}" for tail in ("", ".default", ".default.svc"))
        server = own.server("kube-apiserver", f"DNS:localhost,{names},{addresses}")
        admin = own.client("admin", "admin", "system:masters")
        own.kubeconfig(layout.kubeconfig, admin, layout.api_url)
        self._run("etcd", components.etcd(layout), lambda: self._answers(2379, "/health"), "etcd is healthy")
        told = components.apiserver(layout, own, server, admin)
        self._run("kube-apiserver", told, lambda: self._api.answers("/readyz"), "/readyz answers 200")
        told = components.controllers(layout, own, self._user("kube-controller-manager"))
        self._run("kube-controller-manager", told)
        self._run("kube-scheduler", components.scheduler(self._user("kube-scheduler")))

    def _start_containerd(self) -> None:
        layout = self.layout
        plugins = next(folder for folder in CNI_FOLDERS if (folder / "ptp").exists())
        write_cni(layout.network, layout.state / "cni", layout.state / "addresses")
        config = layout.state / "containerd.toml"
        config.write_text(components.containerd(layout, plugins), encoding="utf-8")
        self._run("containerd", [f"--config={config}"], self._containerd_answers, "containerd answers")
        image = layout.state / "pause.tar"
        write_program_image(find_program("pause"), components.PAUSE_IMAGE, image)
        self.load(image)

    def _start_node(self) -> None:
        layout, own = self.layout, self._authority
        self._run("kube-proxy", components.proxy(layout, self._user("kube-proxy")))
        corefile = layout.state / "Corefile"
        corefile.write_text(components.dns(layout, layout.kubeconfig), encoding="utf-8")
        self._run("coredns", [f"-conf={corefile}"])
        self.kubectl("apply", "-f", "-", stdin=components.dns_service(layout))
        for folder in cgroup_folders(layout.cgroup):
            folder.mkdir(exist_ok=True)
            _inherit_cpus(folder)
        server = own.server("kubelet", f"DNS:{layout.node},IP:{layout.network.node_ip}")
        config = layout.state / "kubelet.json"
        config.write_text(components.kubelet(layout, own, server), encoding="utf-8")
        client = own.client("kubelet-client", f"system:node:{layout.node}", "system:nodes")
        kubeconfig = own.kubeconfig(layout.state / "kubelet.kubeconfig", client, layout.api_url)
        told = [
            f"--config={config}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={layout.state}/kubelet",
            f"--node-ip={layout.network.node_ip}",
            f"--hostname-override={layout.node}",
        ]
        self._run("kubelet", told)
        command = [sys.executable, "-m", "scripts.cluster.policy_enforcer"]
        self._processes.start("policy-enforcer", command, ready=lambda: True, what="it has started")

    def _run(
        self, name: str, args: list[str], ready: Callable[[], bool] = lambda: True, what: str = "it has started"
    ) -> None:
        self._processes.start(name, [find_program(name), *args], ready=ready, what=what)

    def _user(self, name: str) -> Path:
        certificate = self._authority.client(f"{name}-client", f"system:{name}")
        return self._authority.kubeconfig(self.layout.state / f"{name}.kubeconfig", certificate, self.layout.api_url)

    def _remove(self) -> None:
        """In the order in which they need each other."""
        self._processes.stop("kubelet")
        end_processes(self.layout.cgroup, self.layout.containerd_socket)
        for name in self._processes.running():
            self._processes.stop(name)
        end_processes(self.layout.cgroup, self.layout.containerd_socket)
        unmount_below(self.layout.state)
        remove_cgroups(self.layout.cgroup)
        remove_network(self.layout.network)
        if self.layout.state.exists():
            shutil.rmtree(self.layout.state)

    def _answers(self, port: int, path: str) -> bool:
        connection = http.client.HTTPConnection(self.layout.network.node_ip, port, timeout=_REQUEST_S)
        return _gets(connection, path)

    def _account_is_made(self) -> bool:
        return self._api.answers("/api/v1/namespaces/default/serviceaccounts/default")

    def _containerd_answers(self) -> bool:
        try:
            self.image_names()
        except ClusterError:
            return False
        return True

    def _node_is_ready(self) -> bool:
        if "kubelet" not in self._processes.running():
            tail = (self.layout.state / "processes" / "kubelet.log").read_text(errors="replace").splitlines()[-5:]
            raise ClusterError("the kubelet ended: " + "\n".join(tail))
        try:
            node = json.loads(self.kubectl("get", "node", self.layout.node, "-o", "json"))
        except ClusterError:
            return False
        return _is_ready(node)


def _is_ready(node: dict[str, dict[str, list[dict[str, str]]]]) -> bool:
    conditions = node["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _gets(connection: http.client.HTTPConnection, path: str) -> bool:
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _inherit_cpus(folder: Path) -> None:
    """The older cpuset hierarchy starts a new group without any; nothing can then be put into it."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (folder / name).exists() and not (folder / name).read_text().strip():
            (folder / name).write_text((folder.parent / name).read_text())


def existing_kubeconfig() -> Path | None:
    """That of a cluster which somebody else has given us: KUBECONFIG is set and its server answers."""
    given = os.environ.get("KUBECONFIG")
    if not given or Path(given) == Layout().kubeconfig:
        return None
    if os.pathsep in given:
        raise ClusterError(f"KUBECONFIG names several files; `kubectl config view --flatten` makes one of {given}")
    call(find_program("kubectl"), f"--kubeconfig={given}", "get", "--raw=/readyz", "--request-timeout=5s")
    return Path(given)
