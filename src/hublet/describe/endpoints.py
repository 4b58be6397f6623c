"""The descriptions of the endpoints, as far as other tables do not have them: names, parameters and bodies.

Methods and paths are not written here: those of the Hub's operations come from `core/operations.py`, those of what is
passed through from `core/passthrough.py`. Only hublet's own paths stand here: serve/telling.py and serve/api.py answer
them, and a test holds the two equal.
"""

from __future__ import annotations

from typing import Literal

from hublet.core import operations as ops
from hublet.core.values import dataclass
from hublet.describe.schema import Schema, count, text

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    place: Literal["query", "header"]
    description: str
    schema: Schema


@dataclass(frozen=True, slots=True)
class Described:
    """One of the Hub's operations. `arguments` are the names of the path's parameters, in order. `body` is the name of
    the schema of a 200, None when the answer is not JSON."""

    kind: type[ops.Operation]
    id: str
    summary: str
    body: str | None
    arguments: tuple[str, ...] = ()
    query: tuple[Parameter, ...] = ()
    asks: str | None = None
    """The name of the schema of the request's body."""
    description: str = ""


_SLUG = ("ownerSlug", "packageSlug")
_ORGANIZATION = Parameter(
    "organizationId", "query", "The organization's id; without one (or an empty one) the personal scope.", text()
)
_PROXIED = Parameter(
    "alwaysUseProxy",
    "query",
    "Whether models are to go through the Hub's proxy; false when it is left out.",
    {"type": "string", "enum": ["true", "false"]},
)

OPERATIONS: tuple[Described, ...] = (
    Described(
        ops.ListAssistants,
        "listAssistants",
        "The assistants of a scope",
        "Assistants",
        query=(_PROXIED, _ORGANIZATION),
    ),
    Described(ops.GetAssistant, "getAssistant", "One assistant", "Assistant", _SLUG, (_PROXIED, _ORGANIZATION)),
    Described(ops.ListOrganizations, "listOrganizations", "The account's organizations", "Organizations"),
    Described(
        ops.GetPolicy,
        "getPolicy",
        "What the organization allows",
        "Policy",
        description="It never weakens because the Hub is away.",
    ),
    Described(ops.GetFreeTrialStatus, "getFreeTrialStatus", "How much of the free trial is used", "FreeTrialStatus"),
    Described(ops.GetCredits, "getCredits", "The account's credits", "Credits"),
    Described(ops.GetAuthScope, "getAuthScope", "The organization that the key belongs to", "AuthScope"),
    Described(ops.GetBlock, "getBlock", "A package of the registry", "Block", (*_SLUG, "version")),
    Described(
        ops.DownloadPackage,
        "downloadPackage",
        "A package of the registry as a zip file",
        None,
        (*_SLUG, "version"),
    ),
    Described(
        ops.ListFullSlugs,
        "listAssistantFullSlugs",
        "The slugs and versions of a scope's assistants",
        "FullSlugs",
        query=(_ORGANIZATION,),
        description="The Hub always refuses it (429); hublet makes the answer of the list that it has.",
    ),
    Described(
        ops.GetCheckoutUrl,
        "getModelsAddOnCheckoutUrl",
        "A checkout session of the models add-on",
        "CheckoutUrl",
        query=(
            Parameter("profile_id", "query", "Told to the page that one comes back to.", text()),
            Parameter("vscode_uri_scheme", "query", "Told to the page that one comes back to.", text()),
        ),
        description="Passed through to the Hub with the client's own credential: each request makes a session.",
    ),
    Described(
        ops.SyncSecrets,
        "syncSecrets",
        "Resolve secrets",
        "SecretResults",
        asks="SecretNames",
        description="The request's Content-Type is not looked at. What was never asked before is asked of the Hub; "
        "when that does not answer it is `not_found`, and the others are not spoiled.",
    ),
)


@dataclass(frozen=True, slots=True)
class Own:
    """An endpoint of hublet's own. `answers` are (media type, schema of a 200); the schema is None for a binary
    body."""

    path: str
    id: str
    summary: str
    answers: tuple[tuple[str, str | Schema | None], ...]
    argument: tuple[str, str, Schema] | None = None
    """Name, description and schema of the path's one parameter."""
    headers: tuple[Parameter, ...] = ()
    open: bool = False
    """Whether it is answered without knowing who asks."""
    may_lack: bool = False
    """Whether the answer may be 404."""
    description: str = ""


_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/x-icon")

OWN: tuple[Own, ...] = (
    Own("/healthz", "getHealth", "Whether the process answers", ((JSON, "Alive"),), open=True),
    Own(
        "/readyz",
        "getReadiness",
        "Whether data can be served",
        ((JSON, "Ready"),),
        open=True,
        description="503 as long as nothing is cached, and when no pass has brought anything for `serve.ready_within`.",
    ),
    Own(
        "/metrics",
        "getMetrics",
        "Counters and ages as Prometheus' text format",
        (("text/plain", text("Prometheus' text format, version 0.0.4.")),),
        description="No name from the Hub is in it.",
    ),
    Own("/hublet/v1/status", "getStatus", "What is known, how old it is and what is wrong", ((JSON, "Status"),)),
    Own(
        "/hublet/v1/events",
        "listenToEvents",
        "What happens, as it happens",
        (("text/event-stream", text("Server-sent events; the `data` of each is an Event.")),),
        headers=(
            Parameter(
                "Last-Event-ID",
                "header",
                "Go on behind this event.",
                {"type": "string", "pattern": "^[0-9]{1,20}$"},
            ),
        ),
        description="The answer does not end. 503 with Retry-After when too many listen.",
    ),
    Own("/hublet/v1/openapi.json", "getOpenApi", "This document", ((JSON, "Document"),)),
    Own(
        "/hublet/v1/proof/{nonce}",
        "getProof",
        "What only this process answers to a word",
        (("text/plain", {"type": "string", "pattern": "^[0-9a-f]{64}$"}),),
        argument=("nonce", "A word of the asker's own.", {"type": "string", "maxLength": 64}),
        open=True,
        may_lack=True,
        description="`hublet` asks the port and the Unix socket, and compares.",
    ),
    Own(
        "/icons/{name}",
        "getIcon",
        "An assistant's or an organization's picture",
        tuple((media_type, None) for media_type in _IMAGES),
        argument=("name", "As an `iconUrl` has it: it can't be guessed.", text()),
        open=True,
        may_lack=True,
        description="Cross-site requests of browsers are answered here, and nowhere else.",
    ),
)

AGE = Parameter("Age", "header", "Seconds since the Hub last said so (RFC 9111).", count())
ETAG = Parameter("ETag", "header", "Of these very bytes (RFC 9110).", text())
CACHE_STATUS = Parameter(
    "Cache-Status", "header", "Whence the answer is, for how long it is fresh, and why not (RFC 9211).", text()
)
IF_NONE_MATCH = Parameter("If-None-Match", "header", "ETags that the client has: 304 when one is the answer's.", text())
ALLOW = Parameter("Allow", "header", "The methods that there are.", text())
AUTHENTICATE = Parameter("WWW-Authenticate", "header", "What is asked for.", text())
RETRY_AFTER = Parameter("Retry-After", "header", "Seconds, where it is known when to come back.", count())
