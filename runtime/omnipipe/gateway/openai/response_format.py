"""What an answer's text must look like: the `response_format` of a chat."""

from typing import Any

from omnipipe.gateway.openai import scalars

__all__ = ["JsonObjectFormat", "JsonSchemaFormat", "ResponseFormat", "TextFormat"]


class TextFormat(scalars.Body, frozen=True, tag_field="type", tag="text"):
    pass


class JsonObjectFormat(scalars.Body, frozen=True, tag_field="type", tag="json_object"):
    pass


class JsonSchema(scalars.Body, frozen=True):
    name: scalars.Name
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class JsonSchemaFormat(scalars.Body, frozen=True, tag_field="type", tag="json_schema"):
    json_schema: JsonSchema


ResponseFormat = TextFormat | JsonObjectFormat | JsonSchemaFormat
