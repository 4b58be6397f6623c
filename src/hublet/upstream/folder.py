"""A folder as the Hub: the same Operations, answered from files. There is no key and no network, and a pass reads the
folder once.

Nothing outside of the folder is read: a link that leads out of it, a device or a pipe is a file that can't be used.
Here the files are only found and read; core/shelf.py decides what they say.
"""

from __future__ import annotations

import asyncio
import io
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from hublet.core import operations as ops
from hublet.core import shelf as shelves
from hublet.core.outcomes import Malformed, Outcome, Refused, Unreachable
from hublet.core.questions import LATEST, Slug
from hublet.core.records import Content
from hublet.core.shelf import Entry, Shelf
from hublet.upstream.http import Said
from hublet.upstream.order import Hub

LARGEST_FILE = 1024 * 1024
MOST_FILES = 2000
_ENDINGS = (".yaml", ".yml", ".md")
"""The endings of packages' files. If a package has several files, the first of these endings counts."""
_TRIAL = {"optedInToFreeTrial": False, "chatCount": 0, "autocompleteCount": 0, "chatLimit": 0, "autocompleteLimit": 0}
_CREDITS = {"optedInToFreeTrial": False, "hasCredits": False, "creditBalance": 0, "hasPurchasedCredits": False}


class FolderHub:
    """An Upstream on a folder. It answers from the files as they were at its first question."""

    def __init__(self, hub: Hub) -> None:
        assert hub.folder is not None
        self._folder, self._limit = Path(hub.folder), hub.size_limit
        self._shelf: Shelf | None = None
        self._listed: tuple[Slug, ...] = ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    async def ask(self, operation: ops.Operation) -> Outcome | Said:
        try:
            if self._shelf is None:
                self._shelf = await asyncio.to_thread(read_folder, self._folder, limit=self._limit)
                self._listed = shelves.assistants(self._shelf)
        except OSError as error:
            return Unreachable(f"the folder can't be read: {error.strerror or error}")
        return self._answer(operation, self._shelf)

    async def fetch_icon(self, address: str) -> Content | None:  # noqa: ARG002  a part of the protocol
        """None: a folder has no icons."""
        return None

    def _answer(self, operation: ops.Operation, shelf: Shelf) -> Outcome | Said:
        match operation:
            case ops.ListAssistants(scope) | ops.GetAssistant(scope) if scope is not None:
                return Refused(404, "Organization not found")
            case ops.ListAssistants():
                return Said([shelves.assistant(shelf, slug) for slug in self._listed])
            case ops.GetAssistant(slug=slug):
                found = shelves.assistant(shelf, slug)
                return Said(found) if found is not None else Refused(404, "Assistant not found")
            case ops.ListOrganizations():
                return Said({"organizations": []})
            case ops.GetPolicy():
                return Said({"policy": None, "orgSlug": None})
            case ops.GetFreeTrialStatus():
                return Said(_TRIAL)
            case ops.GetCredits():
                return Said(_CREDITS)
            case ops.GetAuthScope():
                return Said({"organizationId": None})
            case ops.SyncSecrets():
                return Said([_not_found(text) for text in operation.asked])
            case ops.GetBlock(slug, version) | ops.DownloadPackage(slug, version):
                entry = shelf.get((slug, version))
                if entry is None or entry.problem:
                    return Refused(404, "Package not found")
                if isinstance(operation, ops.DownloadPackage):
                    return Said(_zipped(slug, entry))
                return Said({"content": entry.text})
        return Malformed("a folder does not know this")


def read_folder(folder: Path, *, limit: int) -> Shelf:
    """Every package of a folder. At most `limit` bytes are read of all files together; what is beyond can't be used.

    Names that begin with a dot are left out. Raises OSError when the folder itself can't be read, or has more than
    MOST_FILES packages.
    """
    root = Path(os.path.realpath(folder))
    shelf: dict[tuple[Slug, str], Entry] = {}
    left = limit
    for slug, version, path in _files(root):
        key = (slug, version)
        if key in shelf:
            continue
        if len(shelf) >= MOST_FILES:
            raise OSError(f"there are more than {MOST_FILES} packages in it")
        shelf[key] = entry = _entry(root, path, min(LARGEST_FILE, left))
        left -= len(entry.text.encode())
    return shelf


def _files(root: Path) -> Iterator[tuple[Slug, str, Path]]:
    for owner in _folders(root):
        for package, path in _named(owner):
            yield Slug(owner.name, package), LATEST, path
        for versions in _folders(owner):
            for version, path in _named(versions):
                if version != LATEST:
                    yield Slug(owner.name, versions.name), version, path


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if _is_name(path.name) and path.is_dir())


def _named(place: Path) -> list[tuple[str, Path]]:
    """(name without its ending, path) of each file that may be a package; of the same name the one that counts
    first."""
    paths = [path for path in place.iterdir() if path.suffix in _ENDINGS and not path.is_dir()]
    return [
        (path.stem, path)
        for path in sorted(paths, key=lambda path: (path.stem, _ENDINGS.index(path.suffix)))
        if _is_name(path.stem)
    ]


def _is_name(name: str) -> bool:
    """Whether the name of a file can be part of a slug, which stands in URLs, in `uses:` and in the names of
    secrets."""
    return not name.startswith(".") and name.isprintable() and not set(name) & set(" /@:}{\ufffd")


def _entry(root: Path, path: Path, limit: int) -> Entry:
    markdown = path.suffix == ".md"
    try:
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(root):
            return Entry(markdown=markdown, problem="the file is a link that leads out of the folder")
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return Entry(markdown=markdown, problem="it is not a regular file")
            data = file.read(limit + 1)
    except OSError as error:
        return Entry(markdown=markdown, problem=f"the file can't be read: {error.strerror}")
    if len(data) > limit:
        return Entry(markdown=markdown, problem=f"the file is larger than {limit} bytes")
    try:
        return Entry(data.decode(), markdown)
    except UnicodeDecodeError:
        return Entry(markdown=markdown, problem="the file is not UTF-8")


def _not_found(asked: str) -> dict[str, object]:
    fqsn = orjson.loads(asked)
    name = fqsn.get("secretName", "") if isinstance(fqsn, dict) else ""
    return {"found": False, "fqsn": fqsn, "secretLocation": {"secretType": "not_found", "secretName": name}}


def _zipped(slug: Slug, entry: Entry) -> bytes:
    """A package as clients download it: a zip with one markdown file. The same text gives the same bytes."""
    text = entry.text if entry.markdown else f"---\nname: {orjson.dumps(slug.package).decode()}\n---\n{entry.text}"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(f"{slug.package}.md"), text)
    return file.getvalue()
