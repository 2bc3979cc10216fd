"""What the chart makes of values, asked of helm itself without a cluster: wrong ones are refused with their place,
right ones have their effect.
"""

import re
from base64 import b64decode
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from tests.cluster.chart.helm import CHART, KUBE_VERSION, Helm, HelmRefused, objects
from tests.cluster.chart.options import DIGEST, everything, namespaced

from omnipipe import __version__
from omnipipe_operator.arguments import parse
from omnipipe_operator.settings import OperatorSettings

CERT_MANAGER = {"webhook": {"enabled": True, "certificates": "certManager"}}
OWN_SECRET = {"enabled": True, "certificates": "secret", "existingSecret": "tls", "caBundle": "Y2E="}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"replcas": 2}, "additional properties 'replcas' not allowed"),
    ({"images": {"operator": {"tags": "1"}}}, "at '/images/operator': additional properties 'tags'"),
    ({"images": {"operator": {"repository": "Upper"}}}, "at '/images/operator/repository'"),
    ({"images": {"stage": {"digest": "sha256:abc"}}}, "at '/images/stage/digest'"),
    ({"images": {"pullPolicy": "Sometimes"}}, "at '/images/pullPolicy'"),
    ({"replicas": "two"}, "at '/replicas': got string, want integer"),
    ({"replicas": -1}, "at '/replicas': minimum: got -1"),
    ({"watch": {"namespaces": "default"}}, "at '/watch/namespaces'"),
    ({"watch": {"namespaces": ["Default"]}}, "at '/watch/namespaces/0'"),
    ({"watch": {"namespaces": ["a", "a"]}}, "watch.namespaces names a namespace twice"),
    ({"operator": {"logLevel": "loud"}}, "at '/operator/logLevel'"),
    ({"operator": {"extraArgs": ["verbose"]}}, "at '/operator/extraArgs/0'"),
    ({"resources": {"requests": {"cpu": "much"}}}, "at '/resources/requests/cpu'"),
    ({"commonLabels": {"app.kubernetes.io/name": "other"}}, "invalid propertyName 'app.kubernetes.io/name'"),
    ({"commonLabels": {"team": "a b"}}, "at '/commonLabels/team'"),
    ({"podAnnotations": {"a": 1}}, "at '/podAnnotations/a': got number, want string"),
    ({"extraEnv": [{"nam": "A"}]}, "at '/extraEnv/0'"),
    ({"podDisruptionBudget": {"maxUnavailable": 0}}, "at '/podDisruptionBudget/maxUnavailable'"),
    ({"networkPolicy": {"apiServerPorts": [0]}}, "at '/networkPolicy/apiServerPorts/0'"),
    ({"webhook": {"failurePolicy": "Shrug"}}, "at '/webhook/failurePolicy'"),
    ({"webhook": {"enabled": True, "certificates": "secret"}}, "webhook.existingSecret and webhook.caBundle must"),
    ({"webhook": {"enabled": True, "existingSecret": "tls"}}, 'have no effect with webhook.certificates "helm"'),
    ({"webhook": {"enabled": True, "failurePolicy": "Fail"}, "replicas": 1}, "there is one replica"),
    (
        {"webhook": {"enabled": True, "certManager": {"issuerRef": {"name": "ca"}}}},
        "webhook.certManager.issuerRef.name has no effect",
    ),
    ({"serviceAccount": {"create": False}}, "serviceAccount.name must say which one"),
    ({"serviceMonitor": {"interval": "often"}}, "at '/serviceMonitor/interval'"),
    ({"prometheusRule": {"slo": {"errorRatio": 1}}}, "at '/prometheusRule/slo/errorRatio'"),
    ({"prometheusRule": {"slo": {"ttftSeconds": 0.7}}}, "value must be one of 0.005"),
    ({"sample": {"name": "Sample"}}, "at '/sample/name'"),
]


@pytest.mark.parametrize(("values", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_wrong_values_are_refused_with_their_place(values: dict[str, Any], words: str, helm: Helm) -> None:
    with pytest.raises(HelmRefused, match=re.escape(words)):
        helm.template(values=values)


@pytest.mark.parametrize("values", [{}, everything(), namespaced("a", "b"), CERT_MANAGER], ids=str)
def test_the_chart_is_without_fault(values: dict[str, Any], helm: Helm) -> None:
    said = helm("lint", CHART, "--strict", f"--kube-version={KUBE_VERSION}", values=values)

    assert "0 chart(s) failed" in said


def rendered(helm: Helm, values: object) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["kind"], one["metadata"]["name"]): one for one in objects(helm.template(values=values))}


def container(made: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    (deployment,) = [one for (kind, _), one in made.items() if kind == "Deployment"]
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def test_images_are_named_by_registry_repository_tag_and_digest(helm: Helm) -> None:
    operator = container(rendered(helm, everything()))

    assert operator["image"] == f"registry.example.com:5000/ours/operator:1.2.3@{DIGEST}"
    assert operator["imagePullPolicy"] == "Always"
    assert "--stage-image=registry.example.com:5000/ours/stage:cuda" in operator["args"]
    assert any(arg.startswith("--gateway-image=other.example.com/gateway:") for arg in operator["args"])


def test_a_digest_needs_no_tag(helm: Helm) -> None:
    images = {"images": {"operator": {"repository": "operator", "digest": DIGEST}}}

    assert container(rendered(helm, images))["image"] == f"operator@{DIGEST}"


def test_named_namespaces_get_roles_and_the_cluster_none(helm: Helm) -> None:
    made = objects(helm.template("--set=rbac.aggregate=false", values=namespaced("speech", "vision")))

    roles = [one["metadata"]["namespace"] for one in made if one["kind"] == "Role"]
    assert sorted(roles) == ["speech", "system", "vision"]  # the one in its own is for the Lease
    assert not [one for one in made if one["kind"] in ("ClusterRole", "ClusterRoleBinding")]


def test_the_webhooks_certificate_is_signed_by_the_authority_that_is_named(helm: Helm) -> None:
    made = rendered(helm, {"webhook": {"enabled": True}})

    (hook,) = made["ValidatingWebhookConfiguration", "system-omni-omnipipe"]["webhooks"]
    assert hook["clientConfig"]["caBundle"] == made["Secret", "omni-omnipipe-webhook"]["data"]["ca.crt"]


def test_cert_manager_and_ones_own_secret_take_the_places_of_the_charts_certificate(helm: Helm) -> None:
    managed = rendered(helm, CERT_MANAGER)
    own = rendered(helm, {"webhook": OWN_SECRET})

    configuration = managed["ValidatingWebhookConfiguration", "system-omni-omnipipe"]
    assert configuration["metadata"]["annotations"] == {
        "cert-manager.io/inject-ca-from": "system/omni-omnipipe-webhook"
    }
    assert managed["Certificate", "omni-omnipipe-webhook"]["spec"]["dnsNames"] == ["omni-omnipipe.system.svc"]
    assert ("Issuer", "omni-omnipipe-webhook") in managed
    (hook,) = own["ValidatingWebhookConfiguration", "system-omni-omnipipe"]["webhooks"]
    assert hook["clientConfig"]["caBundle"] == "Y2E="
    assert not [kind for kind, _ in managed | own if kind == "Secret"]


def test_the_webhook_is_asked_about_the_watched_namespaces_alone(helm: Helm) -> None:
    made = rendered(helm, {**namespaced("speech"), "webhook": {"enabled": True}})

    (hook,) = made["ValidatingWebhookConfiguration", "system-omni-omnipipe"]["webhooks"]
    assert hook["namespaceSelector"]["matchExpressions"][0]["values"] == ["speech"]


def test_the_sample_is_made_where_the_operator_looks(helm: Helm) -> None:
    made = rendered(helm, namespaced("speech"))

    assert made["OmniPipeline", "omnipipe-sample"]["metadata"]["namespace"] == "speech"
    assert not [kind for kind, _ in rendered(helm, {"sample": {"enabled": False}}) if kind in ("OmniPipeline", "Pod")]


def test_what_is_off_is_not_there(helm: Helm) -> None:
    off: dict[str, Any] = {name: {"enabled": False} for name in ("sample", "networkPolicy", "podDisruptionBudget")} | {
        "rbac": {"create": False},
        "crds": {"install": False},
        "serviceAccount": {"create": False, "name": "given"},
    }

    assert sorted(kind for kind, _ in rendered(helm, off)) == ["Deployment", "Service"]


def test_the_operator_takes_what_it_is_given_by_default(helm: Helm) -> None:
    process, operator = parse(container(rendered(helm, {}))["args"], {"POD_NAMESPACE": "system"})

    assert process.namespaces == ()
    assert (process.listen.port, process.lease_namespace, process.webhook) == (8080, "system", None)
    assert operator.gateway_image == f"omnipipe-gateway:{__version__}"
    assert operator.stage_image == f"omnipipe-stage:{__version__}"
    defaults = OperatorSettings(gateway_image=operator.gateway_image, stage_image=operator.stage_image)
    assert operator == replace(defaults, operator_namespace="system")


def test_the_operator_takes_everything_it_is_given(helm: Helm) -> None:
    process, operator = parse(container(rendered(helm, {**everything(), **namespaced("a", "b")}))["args"], {})

    assert process.namespaces == ("a", "b")
    assert (process.workers, process.resync_s, process.calls_per_s) == (2, 60, 50)
    assert (process.log_level, process.log_format) == ("debug", "text")
    assert process.webhook is not None
    assert (process.webhook.listen.port, str(process.webhook.key)) == (9443, "/etc/omnipipe/webhook/tls.key")
    assert operator.image_pull_policy == "Always"
    assert operator.image_pull_secrets == ("pull-pipelines",)
    assert (operator.allow_host_path, operator.cluster_domain) == (True, "cluster.example")
    assert operator.termination_grace_s == 120


def test_ports_of_the_pod_are_those_of_the_command_line(helm: Helm) -> None:
    operator = container(rendered(helm, everything()))

    process, _ = parse(operator["args"], {})
    assert process.webhook is not None
    ports = {port["name"]: port["containerPort"] for port in operator["ports"]}
    assert ports == {"http": process.listen.port, "webhook": process.webhook.listen.port}


def test_the_webhooks_certificate_is_for_its_service_and_serves_nothing_else(helm: Helm) -> None:
    data = rendered(helm, {"webhook": {"enabled": True}})["Secret", "omni-omnipipe-webhook"]["data"]
    authority, own = (x509.load_pem_x509_certificate(b64decode(data[name])) for name in ("ca.crt", "tls.crt"))

    own.verify_directly_issued_by(authority)
    names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["omni-omnipipe.system.svc"]
    assert not own.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert own.not_valid_after_utc - own.not_valid_before_utc > timedelta(days=3000)
