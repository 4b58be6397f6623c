"""Notifying a client of changes: whenever the daemon reports an event, the lists are fetched again and compared.

Notifications follow from the comparison, not from the events. So they are right after a restart of the daemon, after
events that were missed, and for changes that have no event of their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import field

from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
)

from hublet.core.errors import HubletError
from hublet.core.values import dataclass
from hublet.mcp.catalogue import Catalogue

_GATHERING = 0.2
"""Seconds to wait after a first event before looking, since a pass causes many events at once."""
_MOST_SUBSCRIBED = 10_000

log = logging.getLogger("hublet.mcp")


@dataclass(frozen=True, slots=True)
class Look:
    """What the lists held at one moment: each resource's revision by its URI, the rest of its entry, and every
    prompt."""

    revisions: Mapping[str, str] = field(default_factory=dict)
    entries: frozenset[tuple[object, ...]] = frozenset()
    prompts: frozenset[tuple[object, ...]] = frozenset()


def differences(before: Look, after: Look) -> tuple[ServerEvent, ...]:
    """The notifications for a client. A resource that is gone counts as changed, since reading it gives another
    answer."""
    both = before.revisions.keys() | after.revisions.keys()
    changed = sorted(uri for uri in both if before.revisions.get(uri) != after.revisions.get(uri))
    found: list[ServerEvent] = [ResourceUpdated(uri) for uri in changed]
    if before.entries != after.entries:
        found.append(ResourcesListChanged())
    if before.prompts != after.prompts:
        found.append(PromptsListChanged())
    return tuple(found)


class Telling:
    """Belongs to one event loop.

    `session` is set by a client of a protocol version up to 2025-11-25 after its handshake; it gets notifications of
    the resources that it subscribed to. Clients of later versions listen by a request of their own (`listen`).
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._bus = InMemorySubscriptionBus()
        self._subscribed: set[str] = set()
        self._news = asyncio.Event()
        self.listen = ListenHandler(self._bus, max_subscriptions=32)
        self.session: ServerSession | None = None

    def subscribe(self, uri: str) -> None:
        """Raises OverflowError when the client has subscribed to too many resources."""
        if len(self._subscribed) >= _MOST_SUBSCRIBED and uri not in self._subscribed:
            raise OverflowError
        self._subscribed.add(uri)

    def unsubscribe(self, uri: str) -> None:
        self._subscribed.discard(uri)

    def wake(self) -> None:
        """Note that something may have changed."""
        self._news.set()

    async def run(self) -> None:
        """Look and notify until cancelled. While no daemon answers, the last lists that were seen count."""
        seen = await self._look() or Look()
        while True:
            await self._news.wait()
            await asyncio.sleep(_GATHERING)
            self._news.clear()
            now = await self._look()
            if now is not None:
                for event in differences(seen, now):
                    await self._tell(event)
                seen = now

    async def _look(self) -> Look | None:
        try:
            listing = await self._catalogue.listing()
            prompts = await self._catalogue.instructions(listing)
        except HubletError:
            return None  # requests of the client are answered with this error
        places = (
            (one.uri, one.title, *(place["organization"] for place in one.places))
            for one in listing.assistants.values()
        )
        return Look(
            {one.uri: one.revision for one in listing.assistants.values()},
            frozenset(places),
            frozenset((name, each.name, each.description, each.arguments) for name, (_, each) in prompts.items()),
        )

    async def _tell(self, event: ServerEvent) -> None:
        await self._bus.publish(event)
        session = self.session
        match event:
            case _ if session is None:
                pass
            case ResourceUpdated(uri):
                if uri in self._subscribed:
                    await session.send_resource_updated(uri)
            case ResourcesListChanged():
                await session.send_resource_list_changed()
            case PromptsListChanged():
                await session.send_prompt_list_changed()
