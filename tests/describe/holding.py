"""Holding an answer against the document: is its status declared, its type, its headers, and does its body fit?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from hublet.describe.document import document

DOCUMENT: dict[str, Any] = json.loads(json.dumps(document()))
_HERE = "urn:hublet"
_REGISTRY: Registry[Any] = Registry().with_resource(_HERE, DRAFT202012.create_resource(DOCUMENT))


def validator(pointer: str) -> Draft202012Validator:
    """Of the schema at a place of the document."""
    return Draft202012Validator({"$ref": f"{_HERE}#{pointer}"}, registry=_REGISTRY)


def component(name: str) -> Draft202012Validator:
    return validator(f"/components/schemas/{name}")


def path_of(target: str) -> str | None:
    """The document's path that a request's target is of; one without parameters goes first."""
    asked = target.partition("?")[0]
    for path in sorted(DOCUMENT["paths"], key=lambda path: path.count("{")):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path.replace("{rest}", ".+")), asked):
            return str(path)
    return None


def hold(method: str, target: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raises AssertionError with what is not as the document says. Header names are lower-case."""
    path = path_of(target)
    assert path is not None, f"{target} is in no path of the document"
    operation = DOCUMENT["paths"][path].get(method.lower())
    if operation is None:  # every operation there declares what another method gets
        (operation, *_) = DOCUMENT["paths"][path].values()
        assert status in (403, 404, 405), f"{method} {path} is not described, and was answered {status}"
    where = f"{method} {path} {status}"
    said = operation["responses"].get(str(status)) or operation["responses"].get("default")
    assert said is not None, f"{where} is not declared"
    if "$ref" in said:
        said = _at(said["$ref"].removeprefix("#"))
    for name, header in said.get("headers", {}).items():
        sent = headers.get(name.lower())
        assert sent is not None or not header["required"], f"{where} has no {name}"
        if sent is not None:
            value = int(sent) if header["schema"]["type"] == "integer" else sent
            Draft202012Validator(header["schema"]).validate(value)
    content = said.get("content")
    if content is None or method == "HEAD":
        assert body == b"", f"{where} has a body"
        return
    sort = headers.get("content-type", "").partition(";")[0]
    declared = content.get(sort) or content.get("*/*")
    assert declared is not None or content == {} or sort in content, f"{where} has the type {sort}"
    if schema := (declared or {}).get("schema"):
        wrapped = {"$id": _HERE + ":one", **_absolute(schema)}
        value = json.loads(body) if sort == "application/json" else body.decode()
        problems = [error.message[:300] for error in _validator(wrapped).iter_errors(value)]
        assert not problems, f"{where}: {problems}"


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema, registry=_REGISTRY)


def _absolute(node: Any) -> Any:
    """A schema with its references as from outside of the document."""
    if isinstance(node, dict):
        return {k: f"{_HERE}{v}" if k == "$ref" else _absolute(v) for k, v in node.items()}
    return [_absolute(child) for child in node] if isinstance(node, list) else node


def _at(pointer: str) -> Any:
    found: Any = DOCUMENT
    for part in pointer.strip("/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found
