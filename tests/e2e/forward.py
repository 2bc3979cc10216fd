"""`kubectl port-forward`, for a cluster whose addresses this machine does not reach."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.cluster import Cluster

__all__ = ["port_forward"]


@contextmanager
def port_forward(cluster: Cluster, namespace: str, service: str) -> Iterator[str]:
    command = cluster.command(f"--namespace={namespace}", "port-forward", f"service/{service}", ":80")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            assert found, f"kubectl port-forward: {line}"
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            process.terminate()
            process.wait(10)
