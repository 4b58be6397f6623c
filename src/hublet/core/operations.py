"""The requests that a client can make of a Hub: one table of endpoints, read in both directions.

    read(method, segments, query, body) -> Operation      for the loopback API: what does this client ask?
    write(operation) -> Call                              for the Hub client: how is this asked of the Hub?

An Operation is one such request as a value. A new endpoint is a new row of the table. Reading what `write` has written
gives the same Operation back, for every Operation.

Where the Hub's published document is silent, this is decided here: without `alwaysUseProxy` it is false, and a value
other than true or false is refused (400); an empty `organizationId` is the same as none; a parameter given twice is
refused; unknown parameters are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, urlencode

import orjson

from hublet.core.messages import Malformed
from hublet.core.questions import Fqsn, Scope, Slug
from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class ListAssistants:
    """All assistants of a scope, unrolled. With `proxied` (alwaysUseProxy=true) no secret value is in the answer."""

    scope: Scope
    proxied: bool = False


@dataclass(frozen=True, slots=True)
class GetAssistant:
    """One assistant of a scope, unrolled."""

    scope: Scope
    proxied: bool
    slug: Slug


@dataclass(frozen=True, slots=True)
class ListOrganizations:
    """The organizations of the account."""


@dataclass(frozen=True, slots=True)
class GetPolicy:
    """The policy of the first organization that has one."""


@dataclass(frozen=True, slots=True)
class GetFreeTrialStatus:
    """The free trial of the account: its limits, and what was used of them."""


@dataclass(frozen=True, slots=True)
class ListFullSlugs:
    """The slugs and versions of a scope's assistants. The Hub refuses it; hublet makes the answer from the list."""

    scope: Scope


@dataclass(frozen=True, slots=True)
class GetCredits:
    """The model credits of the account."""


@dataclass(frozen=True, slots=True)
class GetAuthScope:
    """The organization that the account's key belongs to, if any."""


@dataclass(frozen=True, slots=True)
class GetBlock:
    """The text of a registry package; its `version` may be `latest`."""

    slug: Slug
    version: str


@dataclass(frozen=True, slots=True)
class DownloadPackage:
    """A registry package as a zip file."""

    slug: Slug
    version: str


@dataclass(frozen=True, slots=True)
class GetCheckoutUrl:
    """The address at which the user can pay. Each call creates a Stripe session, so it is never cached, never asked by
    a pass and never sent twice."""

    profile_id: str | None
    vscode_uri_scheme: str | None


@dataclass(frozen=True, slots=True)
class SyncSecrets:
    """Ask for the values of secrets. `asked` holds each element of the client's array as JSON text, so that their
    order, their number and elements of an unknown shape are kept; `fqsns` reads them. `scope_slug` names the
    organization by its slug, for clients that do not send its id."""

    scope: Scope
    scope_slug: str | None
    asked: tuple[str, ...]

    @property
    def fqsns(self) -> tuple[Fqsn | None, ...]:
        """Each element as a Fqsn, None where it is of an unknown shape."""
        return tuple(Fqsn.from_wire(orjson.loads(text)) for text in self.asked)

    @classmethod
    def of(cls, scope: Scope, fqsns: tuple[Fqsn, ...]) -> SyncSecrets:
        """The Operation that asks for these names in a scope."""
        return cls(scope, None, tuple(orjson.dumps(fqsn.to_wire()).decode() for fqsn in fqsns))


Operation = (
    ListAssistants
    | GetAssistant
    | ListOrganizations
    | GetPolicy
    | GetFreeTrialStatus
    | GetCredits
    | GetAuthScope
    | GetBlock
    | DownloadPackage
    | ListFullSlugs
    | GetCheckoutUrl
    | SyncSecrets
)


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a Hub without the Hub's address: `target` is the path with its query, `body` is JSON."""

    method: str
    target: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class UnknownPath(Exception):
    """The table has no row with this path; a client is answered 404."""


@dataclass(frozen=True, slots=True)
class MethodNotAllowed(Exception):
    """The path is known, but not with this method; a client is answered 405, with `allow` as the Allow header."""

    allow: tuple[str, ...]


Parameters = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One endpoint. `path` is split at the slashes; a segment `{}` is a parameter. `read` makes an Operation of the
    parameter segments, the query and the body; `write` takes an Operation apart into these three."""

    method: str
    path: tuple[str, ...]
    read: Callable[[tuple[str, ...], Parameters, bytes], Operation]
    write: Callable[[Operation], tuple[tuple[str, ...], dict[str, str | None], bytes | None]] = field(compare=False)
    says: frozenset[int]
    """The error statuses that count as the Hub's own answer here: those that its document declares, and 401, which it
    declares almost nowhere and gives everywhere."""
    wildcard: ClassVar[str] = "{}"

    def match(self, segments: tuple[str, ...]) -> tuple[str, ...] | None:
        """The parameter segments of a path; None when it is not the path of this row."""
        if len(segments) != len(self.path):
            return None
        found = []
        for want, have in zip(self.path, segments, strict=True):
            if want == self.wildcard:
                found.append(have)
            elif want != have:
                return None
        return tuple(found)


def _proxied(query: Parameters) -> bool:
    match query.get("alwaysUseProxy"):
        case None | "false":
            return False
        case "true":
            return True
    raise Malformed("alwaysUseProxy must be true or false")


def _scope(query: Parameters) -> Scope:
    return query.get("organizationId") or None


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _slug(arguments: tuple[str, ...]) -> Slug:
    owner, package = arguments
    if not owner or not package:
        raise Malformed("the path needs an owner and a package")
    return Slug(owner, package)


def _version(arguments: tuple[str, ...]) -> tuple[Slug, str]:
    *slug, version = arguments
    if not version:
        raise Malformed("the path needs a version, or latest")
    return _slug(tuple(slug)), version


def _read_secrets(_: tuple[str, ...], __: Parameters, body: bytes) -> SyncSecrets:
    # The Content-Type is not looked at: IDEs post this JSON body as text/plain.
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Malformed("the body is not JSON") from None
    match value:
        case {"fqsns": list(fqsns)}:
            scope, slug = value.get("orgScopeId"), value.get("orgScopeSlug")
            if not isinstance(scope, str | None) or not isinstance(slug, str | None):
                raise Malformed("orgScopeId and orgScopeSlug must be strings or null")
            if not all(isinstance(fqsn, dict) for fqsn in fqsns):
                raise Malformed("every element of fqsns must be an object")
            try:
                return SyncSecrets(scope or None, slug or None, tuple(orjson.dumps(fqsn).decode() for fqsn in fqsns))
            except orjson.JSONEncodeError:
                raise Malformed("the body is nested too deeply") from None
    raise Malformed("the body needs fqsns, an array of fully qualified secret names")


def _write_secrets(op: SyncSecrets) -> bytes:
    body: dict[str, object] = {"fqsns": [orjson.Fragment(text) for text in op.asked], "orgScopeId": op.scope}
    if op.scope_slug is not None:
        body["orgScopeSlug"] = op.scope_slug
    return orjson.dumps(body)


_USUAL = frozenset({401, 404})


def _row(method: str, path: str, kind: type, read: Any, write: Any, *, says: frozenset[int] = _USUAL) -> Row:
    _ROW_OF[kind] = row = Row(method, tuple(path.strip("/").split("/")), read, write, says)
    return row


_ROW_OF: dict[type, Row] = {}

TABLE: tuple[Row, ...] = (
    _row(
        "GET", "/ide/list-assistants", ListAssistants,
        lambda _, q, __: ListAssistants(_scope(q), _proxied(q)),
        lambda op: ((), {"alwaysUseProxy": _flag(op.proxied), "organizationId": op.scope}, None),
    ),
    _row(
        "GET", "/ide/get-assistant/{}/{}", GetAssistant,
        lambda a, q, __: GetAssistant(_scope(q), _proxied(q), _slug(a)),
        lambda op: (
            (op.slug.owner, op.slug.package), {"alwaysUseProxy": _flag(op.proxied), "organizationId": op.scope}, None
        ),
        says=frozenset({401, 403, 404}),
    ),
    _row("GET", "/ide/list-organizations", ListOrganizations, lambda *_: ListOrganizations(), lambda _: ((), {}, None)),
    _row("GET", "/ide/policy", GetPolicy, lambda *_: GetPolicy(), lambda _: ((), {}, None)),
    _row(
        "GET", "/ide/free-trial-status", GetFreeTrialStatus,
        lambda *_: GetFreeTrialStatus(), lambda _: ((), {}, None),
    ),
    _row("GET", "/ide/credits", GetCredits, lambda *_: GetCredits(), lambda _: ((), {}, None)),
    _row("GET", "/auth/scope", GetAuthScope, lambda *_: GetAuthScope(), lambda _: ((), {}, None)),
    _row(
        "GET", "/registry/v1/{}/{}/{}", GetBlock,
        lambda a, *_: GetBlock(*_version(a)),
        lambda op: ((op.slug.owner, op.slug.package, op.version), {}, None),
        says=frozenset({401, 403, 404}),
    ),
    _row(
        "GET", "/v0/{}/{}/{}/download", DownloadPackage,
        lambda a, *_: DownloadPackage(*_version(a)),
        lambda op: ((op.slug.owner, op.slug.package, op.version), {}, None),
        says=frozenset({401, 403, 404}),
    ),
    _row(
        "GET", "/ide/list-assistant-full-slugs", ListFullSlugs,
        lambda _, q, __: ListFullSlugs(_scope(q)),
        lambda op: ((), {"organizationId": op.scope}, None),
        says=frozenset({401, 429}),
    ),
    _row(
        "GET", "/ide/get-models-add-on-checkout-url", GetCheckoutUrl,
        lambda _, q, __: GetCheckoutUrl(q.get("profile_id"), q.get("vscode_uri_scheme")),
        lambda op: ((), {"profile_id": op.profile_id, "vscode_uri_scheme": op.vscode_uri_scheme}, None),
        says=frozenset({401, 404, 500}),
    ),
    _row(
        "POST", "/ide/sync-secrets", SyncSecrets, _read_secrets,
        lambda op: ((), {}, _write_secrets(op)),
    ),
)  # fmt: skip


def row_of(operation: Operation) -> Row:
    """The endpoint of an Operation."""
    return row_for(type(operation))


def row_for(kind: type[Operation]) -> Row:
    """The endpoint of all Operations of a kind."""
    return _ROW_OF[kind]


def read(method: str, segments: tuple[str, ...], query: str, body: bytes) -> Operation:
    """The Operation that a client asks. `segments` are the path's segments, decoded; HEAD is read as GET.

    Raises UnknownPath, MethodNotAllowed, or Malformed for parameters and bodies that make no sense.
    """
    asked = "GET" if method == "HEAD" else method
    allow: list[str] = []
    for row in TABLE:
        arguments = row.match(segments)
        if arguments is None:
            continue
        if row.method == asked:
            return row.read(arguments, _parameters(query), body)
        allow += ["GET", "HEAD"] if row.method == "GET" else [row.method]
    if allow:
        raise MethodNotAllowed(tuple(allow))
    raise UnknownPath


def is_known(segments: tuple[str, ...]) -> bool:
    """Whether the table has this path, whatever the method."""
    return any(row.match(segments) is not None for row in TABLE)


def _parameters(query: str) -> Parameters:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError:
        raise Malformed("the query can't be read") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("a query parameter is given twice")
    return found


def write(operation: Operation) -> Call:
    """The request that asks a Hub this Operation. Slugs are percent-encoded, slashes in them too; a query parameter
    without a value is left out."""
    row = row_of(operation)
    arguments, query, body = row.write(operation)
    rest = iter(arguments)
    path = "/" + "/".join(quote(next(rest), safe="") if part == Row.wildcard else part for part in row.path)
    given = urlencode({name: value for name, value in query.items() if value is not None}, quote_via=quote)
    return Call(row.method, f"{path}?{given}" if given else path, body)


_DEFAULTS = (Slug("continuedev", "default-cli-config"), Slug("continuedev", "default-agent"))


def defaults_of(scope: Scope) -> Iterator[Operation]:
    """The assistants that `cn` asks for when its user names none. They are in no list, so every scope is asked for
    them."""
    return (GetAssistant(scope, False, slug) for slug in _DEFAULTS)


def is_default(operation: Operation) -> bool:
    """Whether it is one of `defaults_of`: passes ask for these, whether or not a client ever has."""
    return isinstance(operation, GetAssistant) and operation.slug in _DEFAULTS and not operation.proxied
