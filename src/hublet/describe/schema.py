"""A body of a request or an answer: its JSON Schema (draft 2020-12) and a sample; and short functions to write schemas.

A schema refers to another one by `ref(name)`. document.py rewrites these references for the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hublet.core.values import dataclass

Schema = dict[str, Any]

DEFS = "#/$defs/"
"""The beginning of a reference to another schema, relative to the schema itself."""


@dataclass(frozen=True, slots=True)
class Body:
    """A named body. `title` is one line for people; `sample` is a value that fits the schema."""

    name: str
    title: str
    schema: Schema
    sample: object


def ref(name: str) -> Schema:
    return {"$ref": DEFS + name}


def text(description: str = "") -> Schema:
    return _told({"type": "string"}, description)


def number(description: str = "") -> Schema:
    return _told({"type": "number"}, description)


def count(description: str = "") -> Schema:
    return _told({"type": "integer", "minimum": 0}, description)


def flag(description: str = "") -> Schema:
    return _told({"type": "boolean"}, description)


def anything(description: str) -> Schema:
    """A value of any type, which is served as the Hub sent it."""
    return {"description": description}


def one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def nullable(schema: Schema) -> Schema:
    """A schema that also takes null."""
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def open_object(properties: Mapping[str, Schema], *required: str) -> Schema:
    """An object of the Hub's: it may have more members than these."""
    return {"type": "object", "properties": dict(properties), **({"required": list(required)} if required else {})}


def closed_object(properties: Mapping[str, Schema], *optional: str) -> Schema:
    """An object of hublet's own: it has exactly these members, except that the `optional` ones may be missing."""
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": dict(properties),
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _told(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description} if description else schema
