"""What it says when it cannot start, its probes, and the admission webhook as an API server calls it."""

import base64
import json
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.cluster.controlplane import ControlPlane
from tests.cluster.daemon import DEADLINE_S, eventually
from tests.cluster.namespace import Namespace, Refused, pipeline
from tests.cluster.operator.running import Operator
from tests.ports import free_port


def last_line(operator: Operator) -> str:
    return operator.said().splitlines()[-1]


def test_without_a_way_to_a_cluster_it_says_so(control_plane: ControlPlane, tmp_path: Path) -> None:
    with Operator(control_plane, tmp_path, kubeconfig=tmp_path / "none") as operator:
        assert operator.process.wait(DEADLINE_S) == 3

    assert last_line(operator).startswith("omnipipe-operator: no way to a cluster: ")


def test_without_a_right_it_names_the_right(control_plane: ControlPlane, namespace: Namespace, tmp_path: Path) -> None:
    namespace.kubectl("create", "serviceaccount", "nobody")
    kubeconfig = control_plane.kubeconfig_of(namespace.name, "nobody")

    with Operator(control_plane, tmp_path, namespace.name, kubeconfig=kubeconfig) as operator:
        assert operator.process.wait(DEADLINE_S) == 3

    assert "not allowed to list omnipipelines.omnipipe.dev" in last_line(operator)
    assert f"in namespace {namespace.name}" in last_line(operator)


def test_a_port_that_is_taken_is_named(operator: Operator, control_plane: ControlPlane, tmp_path: Path) -> None:
    taken = f"127.0.0.1:{operator.port}"
    with Operator(control_plane, tmp_path, "default", args=(f"--listen={taken}",), name="second") as second:
        assert second.process.wait(DEADLINE_S) == 3

    assert f"cannot listen on {taken}" in last_line(second)


def test_it_answers_its_probes_and_stops_when_told(operator: Operator) -> None:
    assert operator.answer("/livez") == (200, "ok\n")
    assert operator.answer("/readyz") == (200, "ok\n")
    assert "omnipipe_operator_reconcile_duration_seconds_bucket" in operator.answer("/metrics")[1]
    assert operator.stop() == 0


def certificate(folder: Path) -> bytes:
    """Self-signed, for loopback; its own authority."""
    folder.mkdir()
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2",
        "-subj", "/CN=webhook", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt"),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE_S)
    return (folder / "tls.crt").read_bytes()


def test_the_webhook_refuses_what_is_wrong_before_it_is_stored(
    control_plane: ControlPlane, namespace: Namespace, tmp_path: Path
) -> None:
    authority, port = certificate(tmp_path / "tls"), free_port()
    webhook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace.name},
        "webhooks": [
            {
                "name": "omnipipelines.omnipipe.dev",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "clientConfig": {
                    "url": f"https://127.0.0.1:{port}/validate", "caBundle": base64.b64encode(authority).decode(),
                },
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
                "rules": [
                    {
                        "apiGroups": ["omnipipe.dev"], "apiVersions": ["v1alpha1"], "operations": ["CREATE", "UPDATE"],
                        "resources": ["omnipipelines"],
                    }
                ],
            }
        ],
    }  # fmt: skip
    args = (f"--webhook-cert-dir={tmp_path / 'tls'}", f"--webhook-listen=127.0.0.1:{port}")
    with Operator(control_plane, tmp_path, namespace.name, args=args) as operator:
        operator.wait_ready()
        namespace.kubectl("create", "-f", "-", stdin=yaml.safe_dump(webhook))
        try:
            wrong = json.loads(json.dumps(pipeline({"model": {"family": "ecco"}})))

            def refused() -> bool:  # the API server takes a moment to know of the webhook
                done = namespace.run("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(wrong))
                return "admission webhook" in done.stderr and "spec.model.family" in done.stderr

            eventually(refused, "the webhook is asked")
            with pytest.raises(Refused, match="no family is called"):
                namespace.apply(wrong)
            namespace.apply(pipeline())
        finally:
            namespace.kubectl("delete", f"validatingwebhookconfiguration/{namespace.name}")
