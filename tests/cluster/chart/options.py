"""Values of the chart for tests: everything at once, and one namespace alone."""

from typing import Any

__all__ = ["DIGEST", "everything", "namespaced"]

DIGEST = "sha256:" + "a" * 64

Values = dict[str, Any]


def everything() -> Values:
    """Each option on, or set to something else than its default."""
    image = {"tag": "1.2.3", "digest": DIGEST}
    return {
        "commonLabels": {"team": "speech"},
        "commonAnnotations": {"example.com/owner": "us"},
        "images": {
            "registry": "registry.example.com:5000/ours",
            "pullPolicy": "Always",
            "pullSecrets": ["pull-operator"],
            "pipelinePullSecrets": ["pull-pipelines"],
            "operator": {"repository": "operator", **image},
            "gateway": {"repository": "gateway", "registry": "other.example.com"},
            "stage": {"repository": "stage", "tag": "cuda"},
        },
        "replicas": 3,
        "operator": {
            "allowHostPath": True,
            "clusterDomain": "cluster.example",
            "podTerminationGraceSeconds": 120,
            "workers": 2,
            "resyncSeconds": 60,
            "callsPerSecond": 50,
            "logLevel": "debug",
            "logFormat": "text",
        },
        "podAnnotations": {"example.com/scrape": "yes"},
        "podLabels": {"tier": "control"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "control", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            "nodeAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 1,
                        "preference": {"matchExpressions": [{"key": "control", "operator": "Exists"}]},
                    }
                ]
            }
        },
        "priorityClassName": "system-cluster-critical",
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "extraObjects": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "{{ .Release.Name }}-more"},
                "data": {"a": "b"},
            },
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-text'}\n",
        ],
        "serviceAccount": {"name": "conductor", "annotations": {"example.com/role": "none"}},
        "networkPolicy": {"metricsFrom": [{"namespaceSelector": {"matchLabels": {"monitoring": "yes"}}}]},
        "webhook": {"enabled": True, "failurePolicy": "Fail"},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "runbookUrl": "https://example.com/runbooks"},
        "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Omnipipe"}},
    }


def namespaced(*namespaces: str) -> Values:
    return {"watch": {"namespaces": list(namespaces)}}
