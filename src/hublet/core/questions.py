"""What the cache is keyed by.

A Question is one thing that can be known of the account: an assistant in a scope, the list of a scope, a secret by its
fully qualified name. What travels on the wire is an Operation (operations.py); one Operation answers many Questions.

Every Question has one canonical text (a JSON array, its kind first), from which the store's record id is made.
"""

from __future__ import annotations

from typing import ClassVar

import orjson

from hublet.core.values import dataclass

Scope = str | None
"""An organization's id, or None for the personal scope."""

PERSONAL: Scope = None


@dataclass(frozen=True, slots=True, order=True)
class Slug:
    """`owner/package`. Both parts are empty for a file of the client's own (WIRE 4.2)."""

    owner: str
    package: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.package}"

    @classmethod
    def parse(cls, text: str) -> Slug:
        """Read `owner/package`. Raises ValueError for anything else."""
        owner, separator, package = text.partition("/")
        if not (owner and separator and package) or "/" in package:
            raise ValueError(f"not of the form owner/package: {text!r}")
        return cls(owner, package)


@dataclass(frozen=True, slots=True, order=True)
class Fqsn:
    """A fully qualified secret name: the packages it is referred to through, outermost first, and its own name."""

    packages: tuple[Slug, ...]
    name: str

    def __str__(self) -> str:
        return "/".join([*(str(slug) for slug in self.packages), self.name])

    def to_wire(self) -> dict[str, object]:
        """The JSON object that clients send and that an answer has to echo."""
        slugs = [{"ownerSlug": slug.owner, "packageSlug": slug.package} for slug in self.packages]
        return {"packageSlugs": slugs, "secretName": self.name}

    @classmethod
    def from_wire(cls, value: object) -> Fqsn | None:
        """Read a client's JSON value; None when it is not of the known shape."""
        match value:
            case {"packageSlugs": list(slugs), "secretName": str(name)}:
                packages = []
                for slug in slugs:
                    match slug:
                        case {"ownerSlug": str(owner), "packageSlug": str(package)}:
                            packages.append(Slug(owner, package))
                        case _:
                            return None
                return cls(tuple(packages), name)
        return None


@dataclass(frozen=True, slots=True)
class Assistant:
    """One assistant as it stands in a scope, unrolled; `proxied` when asked for with alwaysUseProxy=true."""

    kind: ClassVar[str] = "assistant"
    scope: Scope
    proxied: bool
    slug: Slug


@dataclass(frozen=True, slots=True)
class Roster:
    """Which assistants a scope has, in which order."""

    kind: ClassVar[str] = "roster"
    scope: Scope
    proxied: bool


@dataclass(frozen=True, slots=True)
class Organizations:
    """The organizations of the account."""

    kind: ClassVar[str] = "organizations"


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of the first organization that has one."""

    kind: ClassVar[str] = "policy"


@dataclass(frozen=True, slots=True)
class FreeTrial:
    """The account's free trial status."""

    kind: ClassVar[str] = "free-trial"


@dataclass(frozen=True, slots=True)
class Credits:
    """The account's model credits."""

    kind: ClassVar[str] = "credits"


@dataclass(frozen=True, slots=True)
class AuthScope:
    """Which organization, if any, the account's key belongs to: one value for the account."""

    kind: ClassVar[str] = "auth-scope"


@dataclass(frozen=True, slots=True)
class Block:
    """What a registry package holds, as its author wrote it. A `version` other than latest never changes."""

    kind: ClassVar[str] = "block"
    slug: Slug
    version: str


@dataclass(frozen=True, slots=True)
class Download:
    """A registry package as a zip file."""

    kind: ClassVar[str] = "download"
    slug: Slug
    version: str


@dataclass(frozen=True, slots=True)
class Secret:
    """What a fully qualified secret name resolves to in a scope."""

    kind: ClassVar[str] = "secret"
    scope: Scope
    fqsn: Fqsn


@dataclass(frozen=True, slots=True)
class Proposed:
    """What the Hub says of an assistant now, while it is held because it changes what is run or where things go."""

    kind: ClassVar[str] = "proposed"
    scope: Scope
    proxied: bool
    slug: Slug

    @classmethod
    def of(cls, assistant: Assistant) -> Proposed:
        return cls(assistant.scope, assistant.proxied, assistant.slug)

    @property
    def assistant(self) -> Assistant:
        return Assistant(self.scope, self.proxied, self.slug)


@dataclass(frozen=True, slots=True)
class Pinned:
    """The revision of an assistant that the user has pinned: served in place of what the Hub says now."""

    kind: ClassVar[str] = "pinned"
    scope: Scope
    proxied: bool
    slug: Slug

    @classmethod
    def of(cls, assistant: Assistant) -> Pinned:
        return cls(assistant.scope, assistant.proxied, assistant.slug)

    @property
    def assistant(self) -> Assistant:
        return Assistant(self.scope, self.proxied, self.slug)


@dataclass(frozen=True, slots=True)
class Everything:
    """All that is the account's: no answer, only the name under which it is held when the Hub refuses all of it."""

    kind: ClassVar[str] = "everything"


@dataclass(frozen=True, slots=True)
class Icon:
    """The image behind an icon URL; `url` is without its query, which is a capability and changes at every listing."""

    kind: ClassVar[str] = "icon"
    url: str


Question = (
    Assistant
    | Roster
    | Organizations
    | Policy
    | FreeTrial
    | Credits
    | AuthScope
    | Block
    | Download
    | Secret
    | Proposed
    | Pinned
    | Everything
    | Icon
)
LATEST = "latest"


def to_text(question: Question) -> str:
    """The canonical text of a Question: a JSON array, its kind first. The inverse is `from_text`."""
    fields: list[object]
    match question:
        case Assistant(scope, proxied, slug) | Proposed(scope, proxied, slug) | Pinned(scope, proxied, slug):
            fields = [scope, proxied, slug.owner, slug.package]
        case Roster(scope, proxied):
            fields = [scope, proxied]
        case Organizations() | Policy() | FreeTrial() | Credits() | AuthScope() | Everything():
            fields = []
        case Block(slug, version) | Download(slug, version):
            fields = [slug.owner, slug.package, version]
        case Secret(scope, fqsn):
            fields = [scope, [[slug.owner, slug.package] for slug in fqsn.packages], fqsn.name]
        case Icon(url):
            fields = [url]
    return orjson.dumps([question.kind, *fields]).decode()


def from_text(text: str) -> Question:
    """Read a canonical text. Raises ValueError for anything that `to_text` does not write."""
    match orjson.loads(text):
        case ["assistant", str() | None as scope, bool(proxied), str(owner), str(package)]:
            return Assistant(scope, proxied, Slug(owner, package))
        case ["proposed", str() | None as scope, bool(proxied), str(owner), str(package)]:
            return Proposed(scope, proxied, Slug(owner, package))
        case ["pinned", str() | None as scope, bool(proxied), str(owner), str(package)]:
            return Pinned(scope, proxied, Slug(owner, package))
        case ["roster", str() | None as scope, bool(proxied)]:
            return Roster(scope, proxied)
        case ["organizations"]:
            return Organizations()
        case ["policy"]:
            return Policy()
        case ["free-trial"]:
            return FreeTrial()
        case ["credits"]:
            return Credits()
        case ["auth-scope"]:
            return AuthScope()
        case ["everything"]:
            return Everything()
        case ["block", str(owner), str(package), str(version)]:
            return Block(Slug(owner, package), version)
        case ["download", str(owner), str(package), str(version)]:
            return Download(Slug(owner, package), version)
        case ["secret", str() | None as scope, list(packages), str(name)]:
            return Secret(scope, Fqsn(tuple(_slug(package) for package in packages), name))
        case ["icon", str(url)]:
            return Icon(url)
    raise ValueError("not the text of a Question")


def _slug(value: object) -> Slug:
    match value:
        case [str(owner), str(package)]:
            return Slug(owner, package)
    raise ValueError("not the text of a Question")
