"""Every value of the chart changes what is rendered: none is accepted and ignored."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.chart.helm import CHART, Helm
from tests.cluster.chart.options import DIGEST

Values = dict[str, Any]


def merged(base: Values, more: Mapping[str, Any]) -> Values:
    result = deepcopy(base)
    for key, value in more.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


WEBHOOK: Values = {"enabled": True, "certificates": "secret", "existingSecret": "tls", "caBundle": "Y2E="}
"""Nothing in it is made anew at each rendering."""
BASE: Values = {
    "webhook": WEBHOOK,
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboards": {"enabled": True},
}

OTHER: dict[str, object] = {
    "nameOverride": "other",
    "fullnameOverride": "other",
    "commonLabels": {"team": "speech"},
    "commonAnnotations": {"example.com/owner": "us"},
    "watch.namespaces": ["speech"],
    "images.registry": "registry.example.com",
    "images.pullPolicy": "Always",
    "images.pullSecrets": ["pull"],
    "images.pipelinePullSecrets": ["pull"],
    **{f"images.{target}.registry": "registry.example.com" for target in ("operator", "gateway", "stage")},
    **{f"images.{target}.repository": "other" for target in ("operator", "gateway", "stage")},
    **{f"images.{target}.tag": "other" for target in ("operator", "gateway", "stage")},
    **{f"images.{target}.digest": DIGEST for target in ("operator", "gateway", "stage")},
    "replicas": 3,
    "operator.allowHostPath": True,
    "operator.clusterDomain": "cluster.example",
    "operator.podTerminationGraceSeconds": 60,
    "operator.workers": 4,
    "operator.resyncSeconds": 60,
    "operator.callsPerSecond": 50,
    "operator.logLevel": "debug",
    "operator.logFormat": "text",
    "operator.extraArgs": ["--workers=3"],
    "resources.requests.cpu": "1",
    "resources.requests.memory": "1Gi",
    "resources.limits.memory": "1Gi",
    "podSecurityContext.runAsNonRoot": False,
    "podSecurityContext.runAsUser": 1000,
    "podSecurityContext.runAsGroup": 1000,
    "podSecurityContext.fsGroup": 1000,
    "podSecurityContext.seccompProfile.type": "Unconfined",
    "securityContext.allowPrivilegeEscalation": True,
    "securityContext.readOnlyRootFilesystem": False,
    "securityContext.capabilities.drop": [],
    "podAnnotations": {"a": "b"},
    "podLabels": {"a": "b"},
    "nodeSelector": {"a": "b"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpread": False,
    "priorityClassName": "high",
    "terminationGracePeriodSeconds": 60,
    "extraEnv": [{"name": "A", "value": "b"}],
    "extraVolumes": [{"name": "more", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "webhook", "mountPath": "/more"}],
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more"}}],
    "serviceAccount.create": False,
    "serviceAccount.name": "given",
    "serviceAccount.annotations": {"a": "b"},
    "rbac.create": False,
    "rbac.aggregate": False,
    "crds.install": False,
    "podDisruptionBudget.enabled": False,
    "podDisruptionBudget.maxUnavailable": 2,
    "networkPolicy.enabled": False,
    "networkPolicy.apiServerPorts": [8443],
    "networkPolicy.metricsFrom": [{"podSelector": {}}],
    "webhook.enabled": False,
    "webhook.failurePolicy": "Fail",
    "webhook.timeoutSeconds": 9,
    "webhook.certificates": "certManager",
    "webhook.existingSecret": "other",
    "webhook.caBundle": "b3RoZXI=",
    "webhook.certManager.issuerRef.kind": "ClusterIssuer",
    "webhook.certManager.issuerRef.name": "ours",
    "serviceMonitor.enabled": False,
    "serviceMonitor.interval": "9s",
    "serviceMonitor.labels": {"a": "b"},
    "prometheusRule.enabled": False,
    "prometheusRule.labels": {"a": "b"},
    "prometheusRule.slo.errorRatio": 0.02,
    "prometheusRule.slo.ttftSeconds": 0.5,
    "prometheusRule.slo.ttftRatio": 0.02,
    "prometheusRule.edgeSeconds": 2,
    "prometheusRule.rolloutSeconds": 60,
    "prometheusRule.runbookUrl": "https://example.com",
    "dashboards.enabled": False,
    "dashboards.namespace": "grafana",
    "dashboards.labels.grafana_dashboard": "2",
    "dashboards.annotations": {"a": "b"},
    "sample.enabled": False,
    "sample.name": "other",
    "sample.timeoutSeconds": 60,
}

NO_SECRET: Values = {"existingSecret": "", "caBundle": ""}
ISSUED: Values = {"webhook": {**NO_SECRET, "certificates": "certManager"}}
BESIDE: dict[str, Values] = {
    "serviceAccount.create": {"serviceAccount": {"name": "given"}},
    "webhook.certManager.issuerRef.kind": merged(ISSUED, {"webhook": {"certManager": {"issuerRef": {"name": "a"}}}}),
    "webhook.certManager.issuerRef.name": ISSUED,
}
"""What the changed value needs beside it, before and after."""
WITHOUT: dict[str, Values] = {
    "webhook.enabled": {"webhook": {**NO_SECRET, "certificates": "helm"}},
    "webhook.certificates": {"webhook": NO_SECRET},
}
"""What goes with the old value."""


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Every value by its path. An empty mapping is one."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


def changed(path: str) -> Values:
    value: object = OTHER[path]
    for key in reversed(path.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def test_every_value_is_tried() -> None:
    assert sorted(OTHER) == sorted(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))


@pytest.fixture(scope="module")
def standard(helm_program: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return Helm(helm_program, tmp_path_factory.mktemp("helm")).template(values=BASE)


@pytest.mark.parametrize("path", sorted(OTHER))
def test_a_value_has_an_effect(path: str, helm: Helm, standard: str) -> None:
    base = merged(BASE, BESIDE.get(path, {}))
    before = standard if base == BASE else helm.template(values=base)
    after = helm.template(values=merged(merged(base, WITHOUT.get(path, {})), changed(path)))
    assert after != before
