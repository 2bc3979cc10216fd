"""What the status says as yet: the only memory that conditions have."""

from omnipipe_operator.observed import Object

__all__ = ["previous"]


def previous(pipeline: Object) -> dict[str, Object]:
    """Type -> condition."""
    conditions: list[Object] = (pipeline.get("status") or {}).get("conditions") or []
    return {condition["type"]: condition for condition in conditions}
