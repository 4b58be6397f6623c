"""Short functions that write the JSON Schemas (2020-12) of tools, and the check of arguments against them."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from mcp_types import Tool, ToolAnnotations

from hublet.core.instructions import one_line

Schema = dict[str, Any]


def fields(_optional: str = "", **properties: Schema) -> Schema:
    """An object with these properties and no others. All are required except those that `_optional` names, separated
    by blanks."""
    required = [name for name in properties if name not in _optional.split()]
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def text(description: str = "", **more: object) -> Schema:
    return {"type": "string", **({"description": description} if description else {}), **more}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def nullable(schema: Schema) -> Schema:
    """The schema, or null. Written as `anyOf`: some clients can't hand a list of types on to their models."""
    return {"anyOf": [schema, {"type": "null"}]}


def number_of(description: str, least: int, usual: int, most: int | None = None) -> Schema:
    """An optional whole number; `usual` is its default."""
    bounds = {"minimum": least} | ({"maximum": most} if most is not None else {})
    return {"type": "integer", "description": description, "default": usual, **bounds}


def reading_tool(name: str, title: str, description: str, takes: Schema, gives: Schema) -> Tool:
    """A tool that only reads, and only what is on this machine."""
    hints = ToolAnnotations(
        title=title, read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    )
    return Tool(
        name=name, title=title, description=description, input_schema=takes, output_schema=gives, annotations=hints
    )


def misfit(tool: Tool, arguments: object) -> str:
    """A sentence that says which of the arguments does not fit the tool's schema; empty when all do."""
    error = best_match(Draft202012Validator(tool.input_schema).iter_errors(arguments))
    if error is None:
        return ""
    assert isinstance(error, ValidationError)
    properties = tool.input_schema["properties"]
    if error.validator == "additionalProperties":
        unknown = ", ".join(one_line(name, 40) for name in sorted(error.instance.keys() - properties.keys())[:3])
        return f"{tool.name} has no argument {unknown}; it has: {', '.join(properties) or 'none'}"
    if error.validator == "required":
        missing = ", ".join(name for name in error.validator_value if name not in error.instance)
        return f"{tool.name} needs the argument {missing}"
    # The value itself is never quoted: it comes from the client and can be of any length.
    where = str(error.path[0]) if error.path else "what it is called with"
    return f"{tool.name}: {where} does not fit, it has to be of {error.validator} {error.validator_value}"
