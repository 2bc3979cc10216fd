"""Folders of the node as volumes: what a cluster with storage would provide. A claim is all that a pod may mount under
the restricted standard."""

from pathlib import Path

from tests.e2e.namespace import Namespace, Object

__all__ = ["claim", "volume"]

_SIZE = "1Gi"


def volume(namespace: Namespace, claim_name: str, folder: Path) -> Object:
    """For that claim of the namespace and no other. Goes when it is deleted: it belongs to no namespace."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{namespace.name}-{claim_name}"},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "capacity": {"storage": _SIZE},
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder), "type": "Directory"},
            "claimRef": {"namespace": namespace.name, "name": claim_name},
        },
    }


def claim(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": _SIZE}},
            "storageClassName": "",
        },
    }
