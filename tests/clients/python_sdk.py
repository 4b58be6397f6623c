"""The Python client that OpenAPI Generator makes of the Hub's document, with its habits and its two faults.

No package of it is published, so this is made of the document as the generator made it in 2025: the requests it sends,
and how strictly it takes the answers. A program of its own, for another user:

python python_sdk.py DOCUMENT BASE KEY    reads [[operation, parameters], ...] from standard input, prints for each
                                          {"value": ...} or {"error": kind, "status": ..., "message": ...} as JSON
"""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

import yaml

Schema = dict[str, Any]
_JSON = re.compile(r"^application/(json|[\w!#$&.+^_-]+\+json)\s*(;|$)", re.IGNORECASE)
_KINDS = {400: "BadRequestException", 401: "UnauthorizedException", 403: "ForbiddenException", 404: "NotFoundException"}
_SCALARS: dict[str, tuple[type, ...]] = {"string": (str,), "boolean": (bool,), "number": (int, float)}


class ApiError(Exception):
    """A status other than 2xx; `data` is the body read with the model of that status, None where it has none."""

    def __init__(self, status: int, data: Any) -> None:
        self.kind = _KINDS.get(status, "ServiceException" if 500 <= status <= 599 else "ApiException")
        self.status, self.data = status, data


class Invalid(Exception):
    """What pydantic calls a ValidationError: a value is not of its field's type."""


class Client:
    """`DefaultApi` with a `Configuration(host=..., access_token=...)`."""

    def __init__(self, document: dict[str, Any], host: str, token: str) -> None:
        self._host, self._token = host, token
        self._operations = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }

    def call(self, name: str, parameters: dict[str, Any]) -> Any:
        """The value of an operation. `parameters` have the document's names; `body` is the request's own.

        Raises ApiError, Invalid, or AttributeError where the generated code trips over itself.
        """
        method, path, operation = self._operations[name]
        query = []
        for parameter in operation.get("parameters", ()):
            value = parameters.get(parameter["name"])
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", quote(str(value), safe=""))
            elif value is not None:
                query.append(f"{parameter['name']}={quote(str(value))}")
        # The host is kept as it is given: with a slash at its end the path begins with two.
        url = self._host + path + ("?" + "&".join(query) if query else "")
        headers = {"Accept": "application/json", "User-Agent": "OpenAPI-Generator/1.0.0/python"}
        headers["Authorization"] = f"Bearer {self._token}"
        body = None
        if "requestBody" in operation:
            headers["Content-Type"] = "application/json"
            fields = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
            body = json.dumps({name: parameters["body"].get(name) for name in fields}).encode()
        status, media_type, content = _send(urllib.request.Request(url, body, headers, method=method))
        return _read(status, media_type, content, operation["responses"].get(str(status)))


def _send(request: urllib.request.Request) -> tuple[int, str | None, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.headers.get("content-type"), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("content-type"), error.read()


def _read(status: int, media_type: str | None, content: bytes, declared: dict[str, Any] | None) -> Any:
    """What the document has no schema for is not even looked at."""
    data = None
    try:
        if declared is not None:
            schema = declared["content"]["application/json"]["schema"]
            if media_type is None or _JSON.match(media_type):
                data = _deserialize(json.loads(content), schema)
            elif media_type.startswith("text/"):
                data = _deserialize(content.decode(), schema)
            else:
                raise ApiError(0, f"Unsupported content type: {media_type}")
    finally:
        if not 200 <= status <= 299:
            raise ApiError(status, data)
    return data


def _deserialize(value: Any, schema: Schema) -> Any:
    if value is None:
        return None
    if schema["type"] != "array":
        return _model(value, schema, "response")
    items = schema["items"]
    if items.get("nullable"):
        # The type is written "List[Optional[object]]", and what stands in the brackets is looked for as a model.
        if any(each is not None for each in value):
            raise AttributeError("module 'openapi_client.models' has no attribute 'Optional[object]'")
        return value
    return [None if each is None else _model(each, items, f"response.{n}") for n, each in enumerate(value)]


def _model(value: Any, schema: Schema, at: str) -> dict[str, Any]:
    """The document's fields of an object, each of its type and no other; what else is there is left out."""
    if not isinstance(value, dict):
        raise Invalid(f"{at}: not an object")
    required = schema.get("required", ())
    found = {}
    for name, field in schema["properties"].items():
        given = value.get(name)
        if given is None and name in required and not field.get("nullable"):
            raise Invalid(f"{at}.{name}: required")
        found[name] = None if given is None else _typed(given, field, f"{at}.{name}")
    return found


def _typed(value: Any, schema: Schema, at: str) -> Any:
    kind = schema["type"]
    if kind == "array":
        if not isinstance(value, list):
            raise Invalid(f"{at}: not an array")
        return [_typed(each, schema["items"], f"{at}.{n}") for n, each in enumerate(value)]
    if kind == "object" and "properties" in schema:
        return _model(value, schema, at)
    if kind == "object":
        if not isinstance(value, dict):
            raise Invalid(f"{at}: not a dictionary")
        return value
    if not isinstance(value, _SCALARS[kind]) or (kind == "number" and isinstance(value, bool)):
        raise Invalid(f"{at}: not a {kind}")
    return value


def _result(client: Client, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"value": client.call(name, parameters)}
    except ApiError as error:
        message = error.data.get("message") if isinstance(error.data, dict) else error.data
        return {"error": error.kind, "status": error.status, "message": message}
    except Invalid as error:
        return {"error": "ValidationError", "message": str(error)}
    except AttributeError as error:
        return {"error": "AttributeError", "message": str(error)}


def main(document: str, base: str, key: str) -> None:
    with open(document, encoding="utf-8") as file:  # noqa: PTH123
        client = Client(yaml.safe_load(file), base, key)
    json.dump([_result(client, name, parameters) for name, parameters in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
