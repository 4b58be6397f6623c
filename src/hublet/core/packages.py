"""Names of packages and of their secrets, as Continue's config-yaml package reads and writes them.

owner/package@version      a registry package; without a version `latest`
./x  /x  ~/x  file://x     a file
o1/p1/o2/p2/NAME           a secret's full name: through which packages it is asked (a file is `/`)
organization:acme/NAME     where a secret was found
"""

from __future__ import annotations

import re

from hublet.core.questions import LATEST
from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Package:
    """A package of a registry. `owner` and `name` are as written: nobody has checked them."""

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
    """What a `uses:` names. Takes any text: of a slug without a package nothing will be found."""
    if uses.startswith((".", "/", "~")):
        return File(uses)
    if uses.startswith("file://"):
        return File(uses.removeprefix("file://"))
    owner, name, version, *_ = [*re.split("[/@]", uses), "", "", ""]
    # Theirs says `undefined` in an error message where there is no package.
    return Package(owner, name if "/" in uses or "@" in uses else "undefined", version or LATEST)


class FqsnError(ValueError):
    """A secret's name that is no full name: a slug in it has only one part."""


def fqsn_parts(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """Packages (owner, name) and secret of a full name. Raises FqsnError."""
    *path, name = text.split("/")
    if len(path) % 2:
        raise FqsnError("Invalid FQSN format: package slug must have two parts")
    return tuple(zip(path[::2], path[1::2], strict=True)), name


_OWNED = {"organization": 1, "user": 1, "package": 2, "models_add_on": 2, "free_trial": 2}
_FREE = ("not_found", "local_env", "process_env")


def read_location(text: str) -> str | None:
    """A text that is a secret's location, as it is written; None for any other text."""
    kind, mark, rest = text.partition(":")
    rest = rest.partition(":")[0]
    parts = rest.split("/")
    if not mark or (kind not in _OWNED and kind not in _FREE):
        return None
    if kind in _FREE:
        return f"{kind}:{parts[-1]}"
    owner = [*parts, "undefined"][: _OWNED[kind]]
    return f"{kind}:{'/'.join(owner)}/{parts[-1]}"
