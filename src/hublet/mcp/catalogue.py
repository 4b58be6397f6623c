"""Asks the running daemon for lists and contents of assistants. The store is never opened here.

The content of an assistant is kept for as long as its revision is listed, so that a search through all assistants asks
for each content only once. Asking blocks, so it is done in threads; the `Ask` function sets the time limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import anyio.to_thread

from hublet.core import yamlwrite
from hublet.core.errors import AdminError, HubletError
from hublet.core.instructions import Instruction, instructions
from hublet.core.values import dataclass
from hublet.mcp.naming import named, uri_of

Ask = Callable[[str], Mapping[str, Any]]
"""A GET request to the daemon's admin socket, by its path. Raises HubletError; NotRunning when there is no daemon."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A listed assistant. `places` are the scopes that list it, each with its revision. The assistant's URI stands for
    the first place."""

    slug: str
    title: str
    places: tuple[Mapping[str, Any], ...]

    @property
    def uri(self) -> str:
        return uri_of(self.slug)

    @property
    def revision(self) -> str:
        return str(self.places[0]["revision"])


@dataclass(frozen=True, slots=True)
class Listing:
    """Every assistant by its slug, sorted by slug; and the organizations in the Hub's order."""

    assistants: Mapping[str, Entry]
    organizations: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Held:
    """An assistant with its content. `config` is None when the Hub could not load the assistant."""

    slug: str
    title: str
    organization: str | None
    revision: str
    config: Mapping[str, Any] | None

    def to_yaml(self) -> str:
        """The config as YAML; a comment when there is none. Raises HubletError when it can't be written as YAML."""
        if self.config is None:
            return f"# The Hub could not load {self.uri}; the assistant's author has to mend it.\n"
        try:
            return yamlwrite.dump(self.config)
        except ValueError as error:
            raise HubletError(f"{self.uri} can't be written as YAML: {error}") from None

    @property
    def uri(self) -> str:
        return uri_of(self.slug)


class Catalogue:
    """Asks the daemon and keeps contents. Belongs to one event loop."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._contents: dict[tuple[str, str | None, str], Held] = {}

    async def asked(self, path: str) -> Mapping[str, Any]:
        """The daemon's answer to a GET of `path`. Raises HubletError."""
        return await anyio.to_thread.run_sync(self._ask, path, abandon_on_cancel=True)

    async def listing(self) -> Listing:
        """What is cached now; contents of revisions that are no longer listed are dropped. Raises HubletError."""
        try:
            answer = await self.asked("/assistants")
        except AdminError as error:
            if error.message == "Not found":
                hint = "restart it: `hublet service restart`"
                raise HubletError("the daemon that runs is of another version", hint=hint) from None
            raise
        try:
            found = [Entry(one["slug"], one["title"] or "", tuple(one["places"])) for one in answer["assistants"]]
            entries = {entry.slug: entry for entry in sorted(found, key=lambda entry: entry.slug)}
            organizations = tuple(answer["organizations"])
        except (KeyError, TypeError):
            raise _unreadable() from None
        listed = {(entry.slug, place["revision"]) for entry in entries.values() for place in entry.places}
        self._contents = {key: held for key, held in self._contents.items() if (key[0], key[2]) in listed}
        return Listing(entries, organizations)

    async def content(self, entry: Entry, organization: str | None = None) -> Held:
        """An assistant's content, as the organization has it; as the first place has it when the organization does not
        list the assistant. Raises HubletError."""
        place = next((one for one in entry.places if one["organization"] == organization), entry.places[0])
        key = (entry.slug, place["organization"], place["revision"])
        if key not in self._contents:
            path = "/".join(quote(word, safe="") for word in (entry.slug, place["organization"]) if word is not None)
            one = await self.asked(f"/assistants/{path}")
            try:
                held = Held(entry.slug, one["title"] or "", one["organization"], one["revision"], one["config"])
            except (KeyError, TypeError):
                raise _unreadable() from None
            # By now the assistant may have a later revision than the one that was listed.
            key = (entry.slug, held.organization, held.revision)
            self._contents[key] = held
        return self._contents[key]

    async def instructions(self, listing: Listing) -> Mapping[str, tuple[str, Instruction]]:
        """The rules and prompts of all assistants: (slug, instruction) by protocol name. Raises HubletError."""
        found = []
        for entry in listing.assistants.values():
            with suppress(AdminError):  # the assistant was withdrawn since it was listed
                found.append((entry.slug, instructions((await self.content(entry)).config)))
        return named(found)


def _unreadable() -> HubletError:
    return HubletError("the daemon's answer can't be read", hint="is another version of hublet running?")
