"""The OpenAPI document of what hublet serves, and each schema on its own, made from one set of tables.

    document()       OpenAPI 3.1, with the schemas as components
    schema(name)     a JSON Schema 2020-12 that needs no other document: the schemas that it refers to are in `$defs`,
                     its sample is in `examples`
    sample(name)     the sample alone

The same version of hublet always gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import orjson

from hublet import __version__
from hublet.core import operations as ops
from hublet.core.passthrough import RULES, Care, Rule
from hublet.describe import endpoints as told
from hublet.describe.endpoints import JSON, Described, Own, Parameter
from hublet.describe.hub_bodies import HUB_BODIES
from hublet.describe.own_bodies import OWN_BODIES
from hublet.describe.schema import DEFS, Body, Schema, ref

BODIES = {body.name: body for body in (*HUB_BODIES, *OWN_BODIES)}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_COMPONENTS = "#/components/schemas/"
_KNOWN: list[dict[str, list[str]]] = [{}, {"localToken": []}, {"accountKey": []}]
_INFO = """\
What hublet answers on http://localhost:3001 and on its Unix socket: the Continue Hub's IDE API from a cache, and what
it tells of itself. HEAD is answered wherever GET is, without the body. A path may begin with more than one slash.

Tags: `cached` is answered from the cache with the Hub there or not; `hublet` is of hublet's own; `passed through` goes
on to the Hub and depends on `serve.passthrough`. What the Hub says is handed on with all that stands beside what is
described here. Requests with headers that browsers and proxies send are refused (403), but for icons."""
_SAME_USER = (
    "Without a credential a process of the same user is let in: the kernel says who is at the other end. `serve.access`"
    " may ask for a token instead of it, or besides."
)


@cache
def served() -> bytes:
    """The document as JSON, as it is served."""
    return orjson.dumps(document())


def document() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for described in told.OPERATIONS:
        path, method, operation = _operation(described)
        paths.setdefault(path, {})[method] = operation
    for own in told.OWN:
        paths[own.path] = {"get": _own(own)}
    for rule in RULES:
        for path, method, operation in _passed_through(rule):
            paths.setdefault(path, {}).setdefault(method, operation)
    return {
        "openapi": "3.1.1",
        "jsonSchemaDialect": _DIALECT,
        "info": {"title": "hublet", "version": __version__, "summary": "A Hub on your machine", "description": _INFO},
        "servers": [{"url": "http://localhost:{port}", "variables": {"port": {"default": "3001"}}}],
        "tags": [{"name": name} for name in ("cached", "hublet", "passed through")],
        "paths": paths,
        "components": {
            "schemas": {name: _component(body) for name, body in BODIES.items()},
            "responses": _shared(),
            "securitySchemes": {
                "localToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "hublet_...",
                    "description": f"A local token (`hublet token`). {_SAME_USER}",
                },
                "accountKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "con_...",
                    "description": f"The very Hub key that hublet is logged in with. {_SAME_USER}",
                },
            },
        },
    }


def names() -> tuple[str, ...]:
    """The names of all schemas, in alphabetical order."""
    return tuple(sorted(BODIES))


def schema(name: str) -> Schema:
    """A schema that needs no other document. Raises KeyError for an unknown name."""
    body = BODIES[name]
    needed: dict[str, Schema] = {}
    _gather(body.schema, needed)
    found = {"$schema": _DIALECT, "title": name, "description": body.title, **body.schema, "examples": [body.sample]}
    return found | ({"$defs": dict(sorted(needed.items()))} if needed else {})


def sample(name: str) -> object:
    """A value that fits the schema. Raises KeyError for an unknown name."""
    return BODIES[name].sample


def _gather(node: Any, found: dict[str, Schema]) -> None:
    """Add to `found` the schemas that a schema refers to, and those that they refer to."""
    if isinstance(node, dict):
        name = str(node.get("$ref", "")).removeprefix(DEFS)
        if name and name not in found:
            found[name] = BODIES[name].schema
            _gather(found[name], found)
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _gather(child, found)


def _component(body: Body) -> Schema:
    moved: Schema = {"title": body.name, "description": body.title, **_moved(body.schema)}
    return moved | {"examples": [body.sample]}


def _moved(node: Any) -> Any:
    """A schema with its references pointing to the document's components."""
    if isinstance(node, dict):
        return {
            key: value.replace(DEFS, _COMPONENTS) if key == "$ref" and isinstance(value, str) else _moved(value)
            for key, value in node.items()
        }
    return [_moved(child) for child in node] if isinstance(node, list) else node


# Operations


def _operation(described: Described) -> tuple[str, str, dict[str, Any]]:
    """The path, the method and the description of one of the Hub's operations."""
    row = ops.row_for(described.kind)
    arguments = iter(described.arguments)
    path = "/" + "/".join(f"{{{next(arguments)}}}" if part == row.wildcard else part for part in row.path)
    passed = described.kind is ops.GetCheckoutUrl
    parameters = [_in_path(name) for name in described.arguments] + [_parameter(each) for each in described.query]
    answers: dict[str, Any]
    if passed:
        answers = _says("200", "The Hub's answer", _json(str(described.body))) | _refusals(passed=True)
    else:
        always = (told.ETAG, told.AGE, told.CACHE_STATUS)
        content = _json(described.body) if described.body is not None else {"application/zip": {}}
        answers = _says("200", "As the Hub last said it", content, always)
        if row.method == "GET":
            parameters.append(_parameter(told.IF_NONE_MATCH))
            answers |= _says("304", "What the client has is what there is", None, always)
        answers |= _refusals() | _says(
            "404", "The Hub says that there is none, or knew none when it was last asked", _json("Message")
        )
        answers["403"] = _answer("Not for this client; or the Hub says: not for this account", _json("Message"))
    operation: dict[str, Any] = {
        "operationId": described.id,
        "summary": described.summary,
        **({"description": described.description} if described.description else {}),
        "tags": ["passed through" if passed else "cached"],
        "security": _KNOWN,
        **({"parameters": parameters} if parameters else {}),
    }
    if described.asks is not None:
        operation["requestBody"] = {"required": True, "content": _json(described.asks)}
    return path, row.method.lower(), operation | {"responses": dict(sorted(answers.items()))}


def _own(own: Own) -> dict[str, Any]:
    parameters = [_parameter(each) for each in own.headers]
    if own.argument is not None:
        parameters.insert(0, _in_path(*own.argument))
    content = {
        media_type: {"schema": _moved(ref(said)) if isinstance(said, str) else said} if said is not None else {}
        for media_type, said in own.answers
    }
    answers = _says("200", own.summary, content) | _refusals()
    if own.may_lack:
        answers |= _says("404", "There is none", _json("Message"))
    return {
        "operationId": own.id,
        "summary": own.summary,
        **({"description": own.description} if own.description else {}),
        "tags": ["hublet"],
        "security": [] if own.open else _KNOWN,
        **({"parameters": parameters} if parameters else {}),
        "responses": dict(sorted(answers.items())),
    }


def _passed_through(rule: Rule) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of everything that a rule lets through. A rule that ends in `**` gives two paths:
    one without further segments, and one with any number of them."""
    tails = ((), ("{rest}",)) if rule.path[-1] == "**" else ((),)
    for tail in tails:
        segments = [*(part for part in rule.path if part != "**"), *tail]
        parts = [f"{{part{at}}}" if part == "*" else part for at, part in enumerate(segments, 1)]
        arguments = [part[1:-1] for part in parts if part.startswith("{")]
        for method in sorted(rule.methods):
            words = [method.lower(), *(part.strip("{}") for part in parts)]
            yield "/" + "/".join(parts), method.lower(), _passing(rule, arguments, "-".join(words))


def _passing(rule: Rule, arguments: list[str], id_: str) -> dict[str, Any]:
    answers = _refusals(passed=True)
    notes = ["Passed through to the Hub; what is answered is the Hub's."]
    if rule.care is Care.REFRESH:
        answers = _says("200", "The Hub's new tokens", _json("TokenPair")) | _refusals(passed=True)
        answers |= _says("401", "The Hub's refusal, never hublet's own", _json("HubMessage"))
        notes.append("For processes of the same user alone. No failure of hublet's own looks like the Hub's refusal.")
    else:
        answers["default"] = {"description": "The Hub's answer", "content": {"*/*": {}}}
    if rule.care is Care.OWN:
        notes.append("It needs the client's own Hub credential, and is answered with JSON or not at all.")
    if "rest" in arguments:
        notes.append("`rest` is any number of segments.")
    return {
        "operationId": id_,
        "summary": "Passed through to the Hub",
        "description": " ".join(notes),
        "tags": ["passed through"],
        "security": _KNOWN,
        **({"parameters": [_in_path(name) for name in arguments]} if arguments else {}),
        "responses": dict(sorted(answers.items())),
    }


# Answers


_OF_HUBLET = (
    ("400", "A request without sense", ()),
    ("401", "A local token is needed", (told.AUTHENTICATE,)),
    ("403", "Not for this client", ()),
    ("405", "Another method", (told.ALLOW,)),
    ("408", "The request did not arrive in time", ()),
    ("413", "The request's body is too large", ()),
    ("414", "The request's target is too long", ()),
    ("417", "An expectation other than 100-continue", ()),
    ("431", "The request's head is too large", ()),
    ("500", "A fault of hublet's own", ()),
    ("503", "There is nothing to answer with now, or too many ask at once", ()),
    ("505", "Another version of HTTP", ()),
)
"""Status, description and headers of answers that hublet itself may give to any request."""
_OF_EITHER = (
    ("400", "A request without sense, here or for the Hub"),
    ("401", "A credential of one's own is needed, here or at the Hub"),
    ("403", "Not for this client, here or at the Hub"),
    ("404", "Not found, here or at the Hub"),
    ("500", "A fault of hublet's own, or the Hub's"),
    ("503", "The Hub does not answer, or says so itself"),
)
"""The same for requests that are passed through, where the answer may also be the Hub's."""


def _shared() -> dict[str, Any]:
    """The responses that many operations share."""
    answers = {f"Hublet{status}": _answer(text, _json("Message"), headers) for status, text, headers in _OF_HUBLET}
    answers["Hublet503"]["headers"] = _headers((told.RETRY_AFTER,), required=False)
    # The Hub's own answer is passed through unread, so its shape can't be promised.
    either = {JSON: {"schema": {"anyOf": [_moved(ref("NotPassedOn")), _moved(ref("HubMessage")), {}]}}, "*/*": {}}
    return answers | {f"Either{status}": _answer(text, either) for status, text in _OF_EITHER}


def _refusals(*, passed: bool = False) -> dict[str, Any]:
    """References to the answers that hublet may give to any request. With `passed` they may also be the Hub's."""
    answers = {status: f"Hublet{status}" for status, _, _ in _OF_HUBLET}
    if passed:
        del answers["405"]  # another method than the rule's is not passed through, and answered with 404
        answers |= {status: f"Either{status}" for status, _ in _OF_EITHER}
    return {status: {"$ref": f"#/components/responses/{name}"} for status, name in answers.items()}


def _says(
    status: str, text: str, content: dict[str, Any] | None, headers: tuple[Parameter, ...] = ()
) -> dict[str, Any]:
    return {status: _answer(text, content, headers)}


def _answer(text: str, content: dict[str, Any] | None, headers: tuple[Parameter, ...] = ()) -> dict[str, Any]:
    return {
        "description": text,
        **({"headers": _headers(headers, required=True)} if headers else {}),
        **({"content": content} if content is not None else {}),
    }


def _headers(headers: tuple[Parameter, ...], *, required: bool) -> dict[str, Any]:
    return {
        each.name: {"description": each.description, "required": required, "schema": each.schema} for each in headers
    }


def _json(name: str) -> dict[str, Any]:
    return {JSON: {"schema": _moved(ref(name))}}


def _in_path(name: str, description: str = "", schema: Schema | None = None) -> dict[str, Any]:
    why = {"description": description} if description else {}
    return {"name": name, "in": "path", "required": True, **why, "schema": schema or {"type": "string"}}


def _parameter(each: Parameter) -> dict[str, Any]:
    return {"name": each.name, "in": each.place, "description": each.description, "schema": each.schema}
