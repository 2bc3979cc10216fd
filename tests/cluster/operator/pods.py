"""A test in the kubelet's place: pods are given an address and said to be ready; a gateway that answers `/health`."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml
from tests.cluster.namespace import Namespace, Object

__all__ = ["gateway", "make_ready", "set_status"]

GATEWAY = "app.kubernetes.io/component=gateway"


def set_status(namespace: Namespace, pod: str, status: Object) -> None:
    text = yaml.safe_dump({"status": status})
    namespace.kubectl(
        "patch", f"pod/{pod}", "--subresource=status", "--type=merge", "--patch-file=/dev/stdin", stdin=text
    )


def make_ready(namespace: Namespace, address: str) -> None:
    """All pods that there are; `address` is the gateways'."""
    for pod in namespace.get("pods")["items"]:
        labels, container = pod["metadata"]["labels"], pod["spec"]["containers"][0]
        ip = address if labels["app.kubernetes.io/component"] == "gateway" else "127.0.99.99"
        now = "2030-01-01T00:00:00Z"
        kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        state = {"name": container["name"], "ready": True, "restartCount": 0, "image": "x", "imageID": "x",
                 "started": True, "state": {"running": {"startedAt": now}}}  # fmt: skip
        set_status(
            namespace,
            pod["metadata"]["name"],
            {
                "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "startTime": now, "containerStatuses": [state],
                "conditions": [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds],
            },
        )  # fmt: skip


@contextmanager
def gateway(address: str, revision: str, stages: Mapping[str, int]) -> Iterator[list[str]]:
    """Answers on port 8000 of that loopback address as a gateway of the revision, with these routable replicas. Gives
    the paths it was asked for. `stages` may change."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            rows = [
                {"name": name, "replicas": 1, "routable": count, "queued": 0, "running": 0}
                for name, count in stages.items()
            ]
            ready = all(stages.values())
            own = {"pipeline": "assistant", "models": [], "revision": revision, "ready": ready, "draining": False,
                   "in_flight": 0, "queued": 0, "stages": rows}  # fmt: skip
            body = json.dumps({"status": "ready" if ready else "not_ready", "pipelines": [own]}).encode()
            self.send_response(200 if ready else 503)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer((address, 8000), Handler)
    thread = threading.Thread(target=server.serve_forever, name="gateway")
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
