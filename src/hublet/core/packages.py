"""Names of packages and of their secrets, as Continue's config-yaml package reads and writes them.

owner/package@version      a registry package; without a version it is `latest` ./x  /x  ~/x  file://x     a file
o1/p1/o2/p2/NAME           the full name of a secret: the packages through which it is referred to (a file is `/`), its
name organization:acme/NAME     a location: where a secret was found
"""

from __future__ import annotations

import re

from hublet.core.questions import LATEST
from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Package:
    """A registry package. `owner` and `name` are as they were written, and not checked."""

    owner: str
    name: str
    version: str = LATEST

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True, slots=True)
class File:
    """A file by its path."""

    path: str

    def __str__(self) -> str:
        return "/"


Source = Package | File


def source_of(uses: str) -> Source:
    """The package or file that a `uses:` names. Takes any text; for a slug without a package no registry has
    anything."""
    if uses.startswith((".", "/", "~")):
        return File(uses)
    if uses.startswith("file://"):
        return File(uses.removeprefix("file://"))
    owner, name, version, *_ = [*re.split("[/@]", uses), "", "", ""]
    # Without a package, their error messages have `undefined` in its place.
    return Package(owner, name if "/" in uses or "@" in uses else "undefined", version or LATEST)


class FqsnError(ValueError):
    """Not the full name of a secret: a slug in it has only one part."""


def fqsn_parts(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """(the packages as owner and name, the secret's own name) of a full name. Raises FqsnError."""
    *path, name = text.split("/")
    if len(path) % 2:
        raise FqsnError("Invalid FQSN format: package slug must have two parts")
    return tuple(zip(path[::2], path[1::2], strict=True)), name


_OWNED = {"organization": 1, "user": 1, "package": 2, "models_add_on": 2, "free_trial": 2}
_FREE = ("not_found", "local_env", "process_env")


def read_location(text: str) -> str | None:
    """A text that is a location, in the one way in which it is written; None for a text that is none."""
    kind, mark, rest = text.partition(":")
    rest = rest.partition(":")[0]
    parts = rest.split("/")
    if not mark or (kind not in _OWNED and kind not in _FREE):
        return None
    if kind in _FREE:
        return f"{kind}:{parts[-1]}"
    owner = [*parts, "undefined"][: _OWNED[kind]]
    return f"{kind}:{'/'.join(owner)}/{parts[-1]}"
