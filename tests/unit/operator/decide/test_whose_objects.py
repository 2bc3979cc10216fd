"""Whose an object is: ours, somebody else's, or nobody's who may be taken."""

from typing import Any

import pytest

from omnipipe_operator.children import Owner
from omnipipe_operator.conflicts import foreign
from omnipipe_operator.observed import Object, Observed, ref_of

OWNER = Owner("chat", "ns", "uid-1")
MANAGED = {"app.kubernetes.io/managed-by": "omnipipe"}


def thing(owners: list[dict[str, Any]] | None, labels: dict[str, str] | None) -> Object:
    head: Object = {"name": "a", "namespace": "ns"}
    if owners is not None:
        head["ownerReferences"] = owners
    if labels is not None:
        head["labels"] = labels
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": head}


def controlled(uid: str, controller: bool = True) -> dict[str, Any]:
    return {"uid": uid, "controller": controller}


@pytest.mark.parametrize(
    ("owners", "labels", "theirs"),
    [
        ([controlled("uid-1")], {}, False),
        ([controlled("uid-1")], None, False),
        ([controlled("uid-2")], MANAGED, True),  # of a pipeline of that name that was deleted, or of another
        ([controlled("uid-1", False)], {}, True),  # ours in name alone
        ([controlled("uid-2", False)], MANAGED, False),
        (None, MANAGED, False),
        ([], MANAGED, False),
        (None, {"app.kubernetes.io/managed-by": "Helm"}, True),
        (None, {}, True),
        (None, None, True),
    ],
)
def test_an_object_is_somebody_elses(
    owners: list[dict[str, Any]] | None, labels: dict[str, str] | None, theirs: bool
) -> None:
    value = thing(owners, labels)
    expected = {ref_of(value)} if theirs else set()

    assert foreign(Observed(pipeline={}, children=(value,)), OWNER) == expected
    assert foreign(Observed(pipeline={}, children=(), named={ref_of(value): value}), OWNER) == expected
