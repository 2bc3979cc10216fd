"""The head that every child has: name, labels, owner."""

from typing import Final

from omnipipe_operator.children.labels import Component, all_labels
from omnipipe_operator.children.owner import Owner
from omnipipe_operator.observed import Object

__all__ = ["FIELD_MANAGER", "metadata"]

FIELD_MANAGER: Final = "omnipipe-operator"
"""Whose the fields are that we apply, in the API server's books."""


def metadata(owner: Owner, name: str, component: Component, *, stage: str = "", revision: str = "") -> Object:
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": all_labels(owner.name, component, stage=stage, revision=revision),
        "ownerReferences": [owner.reference],
    }
