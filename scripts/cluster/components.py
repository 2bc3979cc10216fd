"""What each server of the cluster is told: arguments and configuration files, as pure text. Starts nothing."""

import json
from pathlib import Path

from scripts.cluster.certificates import Authority
from scripts.cluster.layout import Layout

__all__ = [
    "PAUSE_IMAGE",
    "apiserver",
    "containerd",
    "controllers",
    "dns",
    "dns_service",
    "etcd",
    "kubelet",
    "proxy",
    "scheduler",
]

PAUSE_IMAGE = "localhost/omnipipe-pause:1"


def etcd(layout: Layout) -> list[str]:
    peer = f"http://{layout.network.node_ip}:2380"
    return [
        f"--data-dir={layout.state}/etcd",
        f"--listen-client-urls={layout.etcd_url}",
        f"--advertise-client-urls={layout.etcd_url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",  # what a power cut would lose goes with the machine anyway
    ]


def apiserver(layout: Layout, authority: Authority, server: Path, kubelet_client: Path) -> list[str]:
    return [
        f"--etcd-servers={layout.etcd_url}",
        f"--advertise-address={layout.network.node_ip}",
        "--secure-port=6443",
        f"--tls-cert-file={server}",
        f"--tls-private-key-file={server.with_suffix('.key')}",
        f"--client-ca-file={authority.certificate}",
        f"--kubelet-client-certificate={kubelet_client}",
        f"--kubelet-client-key={kubelet_client.with_suffix('.key')}",
        f"--kubelet-certificate-authority={authority.certificate}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={authority.accounts.with_suffix('.pub')}",
        f"--service-account-signing-key-file={authority.accounts}",
        f"--service-cluster-ip-range={layout.network.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
    ]


def controllers(layout: Layout, authority: Authority, kubeconfig: Path) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={authority.accounts}",
        f"--root-ca-file={authority.certificate}",
        f"--cluster-cidr={layout.network.pods}",
        f"--service-cluster-ip-range={layout.network.services}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    ]


def scheduler(kubeconfig: Path) -> list[str]:
    return [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0", "--profiling=false"]


def proxy(layout: Layout, kubeconfig: Path) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={layout.node}",
        f"--cluster-cidr={layout.network.pods}",
        "--proxy-mode=iptables",
        "--conntrack-max-per-core=0",  # that setting belongs to the whole machine
        "--healthz-bind-address=127.0.0.1:10256",
        "--metrics-bind-address=127.0.0.1:10249",
    ]


def containerd(layout: Layout, cni_programs: Path) -> str:
    return f"""version = 2
root = "{layout.state}/containerd/root"
state = "{layout.state}/containerd/state"

[grpc]
  address = "{layout.containerd_socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Where root lacks CAP_SYS_RESOURCE, runc otherwise dies of "can't get final child's PID from pipe: EOF".
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_programs}"
    conf_dir = "{layout.state}/cni"
"""


def kubelet(layout: Layout, authority: Authority, server: Path) -> str:
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": layout.network.node_ip,
            "healthzBindAddress": "127.0.0.1",
            "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(authority.certificate)}},
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(server),
            "tlsPrivateKeyFile": str(server.with_suffix(".key")),
            "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{layout.cgroup}",
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "localStorageCapacityIsolation": False,
            "resolvConf": "/dev/null",  # names of the cluster and no others
            "clusterDNS": [layout.network.dns_ip],
            "clusterDomain": "cluster.local",
            "podLogsDir": f"{layout.state}/logs",
            "volumePluginDir": f"{layout.state}/volume-plugins",
            "serializeImagePulls": False,
            # Images are brought, not pulled: the kubelet must not tidy up what it could not fetch again.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        },
        indent=1,
    )


def dns(layout: Layout, kubeconfig: Path) -> str:
    return f""".:53 {{
  bind {layout.network.node_ip}
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    kubeconfig {kubeconfig}
    pods insecure
  }}
  cache 30
}}
"""


def dns_service(layout: Layout) -> str:
    """CoreDNS is a process of the node; these make it known to pods under the usual address."""
    name = {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": name,
        "spec": {"clusterIP": layout.network.dns_ip, "ports": ports},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**name, "labels": {**name["labels"], "kubernetes.io/service-name": "kube-dns"}},  # type: ignore[dict-item]
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [{"addresses": [layout.network.node_ip], "conditions": {"ready": True}}],
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [service, endpoints]})
