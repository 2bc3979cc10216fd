"""Who may talk to whom, tried with packets. The cluster of our own enforces policies; another one may not."""

import socket

import pytest
from tests.e2e.namespace import eventually
from tests.e2e.pipelines import Pipelines, ask, manifest

TRY_S = 10
ENFORCED_S = 90.0


def test_only_the_gateway_and_upstream_stages_reach_a_stage(pipelines: Pipelines) -> None:
    if pipelines.namespace.cluster.machine is None:
        pytest.skip("not every cluster enforces NetworkPolicies; the one of our own does")
    name = pipelines.apply(manifest("guarded"))
    pipelines.wait(name)
    [compose] = pipelines.pods(name, "compose")
    address = compose["status"]["podIP"]

    eventually(lambda: not connects(address, 5600), "the relay port of a stage is closed to strangers", ENFORCED_S)
    assert connects(address, 9000), "metrics may be scraped"
    assert not connects_from(pipelines, name, "synth", address, 5600), "a stage downstream does not dial upstream"
    assert connects_from(pipelines, name, "words", address, 5600), "a stage upstream does"
    with pipelines.namespace.reach(name) as url:
        assert "".join(ask(url, name, "let in")) == "let in"


def connects(address: str, port: int) -> bool:
    """From this machine, which is no pod of the pipeline."""
    try:
        with socket.create_connection((address, port), TRY_S):
            return True
    except OSError:
        return False


def connects_from(pipelines: Pipelines, name: str, stage: str, address: str, port: int) -> bool:
    [pod] = pipelines.pods(name, stage)
    code = f"import socket; socket.create_connection(({address!r}, {port}), {TRY_S})"
    done = pipelines.namespace.cluster.kubectl(
        f"--namespace={pipelines.namespace.name}", "exec", pod["metadata"]["name"], "--", "python3", "-c", code
    )
    return done.returncode == 0
