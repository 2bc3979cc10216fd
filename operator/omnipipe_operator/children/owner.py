"""The OmniPipeline as owner of its children: the garbage collector deletes them with it, so there is no finalizer."""

from dataclasses import dataclass
from typing import Self

from omnipipe.spec.manifest import API_VERSION, KIND
from omnipipe_operator.observed import Object

__all__ = ["Owner"]


@dataclass(frozen=True, slots=True)
class Owner:
    name: str
    namespace: str
    uid: str

    @classmethod
    def of(cls, pipeline: Object) -> Self:
        metadata = pipeline["metadata"]
        return cls(metadata["name"], metadata["namespace"], metadata["uid"])

    @property
    def reference(self) -> Object:
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }

    def owns(self, value: Object) -> bool:
        """A pipeline that was deleted and made again has another uid: what its namesake left is not its own."""
        references: list[Object] = value["metadata"].get("ownerReferences") or []
        return any(reference.get("controller") and reference.get("uid") == self.uid for reference in references)
