"""Pods in every kind of trouble, as a kubelet or scheduler reports them."""

from typing import Any

__all__ = ["container", "pod"]


def pod(name: str = "x", phase: str = "Pending", **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "lab", "uid": name, "labels": {}},
        "spec": {"containers": [{"name": "stage"}]},
        "status": {"phase": phase, **status},
    }


def container(
    state: dict[str, Any], last: dict[str, Any] | None = None, *, restarts: int = 0, name: str = "stage", **more: Any
) -> dict[str, Any]:
    value = {"name": name, "ready": False, "restartCount": restarts, "state": state, **more}
    return value if last is None else {**value, "lastState": last}
