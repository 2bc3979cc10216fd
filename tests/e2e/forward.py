"""`kubectl port-forward`, for a cluster whose addresses this machine does not reach. It stays with the one pod that it
has found behind the Service."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from tests.e2e.cluster import Cluster

__all__ = ["port_forward"]

_ANSWERS_S = 120.0
"""Until a pod behind the Service runs and listens: kubectl waits for neither, and ends with the first connection that
the pod refuses."""
_POLL_S = 0.5


@contextmanager
def port_forward(cluster: Cluster, namespace: str, service: str) -> Iterator[str]:
    end = time.monotonic() + _ANSWERS_S
    command = cluster.command(f"--namespace={namespace}", "port-forward", f"service/{service}", ":80")
    while True:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                found = re.search(r"127\.0\.0\.1:(\d+)", line)
                if found is not None and _answers(url := f"http://127.0.0.1:{found[1]}"):
                    yield url
                    return
                assert time.monotonic() < end, f"kubectl port-forward: {line}"
            finally:
                process.terminate()
                process.wait(10)
        time.sleep(_POLL_S)


def _answers(url: str) -> bool:
    """Whatever it says."""
    try:
        httpx.get(url, timeout=5)
    except httpx.HTTPError:
        return False
    return True
