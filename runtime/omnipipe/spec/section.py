"""What all parts of the manifest have in common."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

__all__ = ["Section"]


class Section(BaseModel):
    """camelCase in the file, frozen in memory, nothing unknown let through."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="forbid", strict=True)
