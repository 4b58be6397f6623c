"""The keys of the cache.

A Question is one thing that can be known of the account: an assistant in a scope, the list of a scope, a secret by its
fully qualified name. It is not what travels on the wire: that is an Operation (operations.py), and the Hub's answer to
one Operation can answer many Questions. A list, for example, answers one for each of its assistants.

Every Question has one canonical text, a JSON array with its kind first. The id of its record in the store is made from
that text.
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
    """`owner/package`. Clients write a package that is a file of their own with both parts empty."""

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
    """A fully qualified secret name: the packages through which it is referred to, outermost first (an assistant, then
    the block that the assistant uses), and the name of the secret."""

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
    """One assistant in a scope, unrolled: the blocks that it uses are put in place. `proxied` is the variant that is
    asked for with alwaysUseProxy=true."""

    kind: ClassVar[str] = "assistant"
    scope: Scope
    proxied: bool
    slug: Slug


@dataclass(frozen=True, slots=True)
class Roster:
    """The list of a scope: which assistants it has, and in which order."""

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
    """The organization that the account's key belongs to, if any. There is one such value for the account."""

    kind: ClassVar[str] = "auth-scope"


@dataclass(frozen=True, slots=True)
class Block:
    """The text of a registry package, as its author wrote it. Only that of the version `latest` can change."""

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
    """The Hub's answer for a fully qualified secret name in a scope: where it found the secret, and the value if it is
    the user's own."""

    kind: ClassVar[str] = "secret"
    scope: Scope
    fqsn: Fqsn


@dataclass(frozen=True, slots=True)
class Proposed:
    """The new content of an assistant that is held in quarantine, because it changes which program is run or where data
    is sent. Until the user accepts it, the kept content is served."""

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
    """The revision of an assistant that the user has pinned. It is served in place of the Hub's present one."""

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
    """The whole account. It has no answer; it only is the name under which a quarantine is kept when the Hub refuses
    everything."""

    kind: ClassVar[str] = "everything"


@dataclass(frozen=True, slots=True)
class Icon:
    """The image at an icon's URL. `url` has no query: that is a signature, which changes with every list."""

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
    """The canonical text of a Question: a JSON array with its kind first. `from_text` is the inverse."""
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
