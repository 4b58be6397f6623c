"""Events: what has happened, for programs that wait for news instead of asking again and again.

The last events are kept in one ring, from which every listener reads at its own place. So a slow listener costs no
memory; when the ring has moved on past its place, it is told that it missed something.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable

import orjson

from hublet.core.telling import Kind
from hublet.core.values import dataclass

MOST_KEPT = 256
MOST_LISTENERS = 32
"""How many may listen at one door."""
_LONGEST = 500

log = logging.getLogger("hublet.events")

# They hold no names: what comes from the Hub is sealed, and the daemon's log is not.
_SENTENCES: dict[Kind, str] = {
    "withdrawn": "the Hub has taken something back: it is no longer served",
    "held": "something is in quarantine: see `hublet quarantine`",
    "accepted": "what was in quarantine is accepted",
    "endpoints": "an assistant runs or sends elsewhere than before: see `hublet status`",
    "stale": "something has not been confirmed by the Hub for longer than it should",
    "expired": "secret values have expired and are no longer served",
    "locked": "locked: no secret value is served",
    "unlocked": "unlocked",
    "offline": "the Hub does not answer",
    "online": "the Hub answers again",
}


@dataclass(frozen=True, slots=True)
class Event:
    """`id` grows from event to event, over restarts too; `at` is the wall clock's time. `what` names what it is about
    (an assistant by `owner/package`), `scope` is the organization's id where there is one, `detail` says the rest in
    words. None of it holds a secret's value or name."""

    id: int
    at: float
    kind: Kind
    what: str = ""
    scope: str | None = None
    detail: str = ""

    def to_json(self) -> bytes:
        """The event as JSON without a line end in it."""
        return orjson.dumps(
            {
                "id": self.id,
                "at": self.at,
                "kind": self.kind,
                "what": self.what,
                "scope": self.scope,
                "detail": self.detail,
            }
        )


class TooManyListeners(Exception):
    """MOST_LISTENERS listen at that door already."""


class Events:
    """The ring and its listeners. Belongs to one event loop. `counts` is how many events there were of each kind.

    The first id is the time of the start in milliseconds; each event has the next one. So ids grow over restarts as
    well, and the id of an event of an earlier process can be recognised.
    """

    def __init__(self, clock: Callable[[], float], *, most: int = MOST_KEPT) -> None:
        self._clock = clock
        self._ring: deque[Event] = deque(maxlen=most)
        self._first = int(clock() * 1000)
        self._listeners: set[Listening] = set()
        self._closed = False
        self._logged: tuple[Kind, int] | None = None
        self.last = self._first
        """The id of the last event; before the first one the id that it counts up from."""
        self.counts: Counter[Kind] = Counter()
        self.on_listen: Callable[[], None] = lambda: None
        """Called when somebody begins to listen."""

    def tell(self, kind: Kind, *, what: str = "", scope: str | None = None, detail: str = "") -> Event:
        """Put an event into the ring, wake who listens, and log its kind."""
        self.last += 1
        event = Event(self.last, self._clock(), kind, _line(what), scope, _line(detail))
        self._ring.append(event)
        self.counts[kind] += 1
        if kind in _SENTENCES and (kind, int(event.at)) != self._logged:
            self._logged = kind, int(event.at)  # when many go stale in the same second, one line says so
            log.info("%s", _SENTENCES[kind], extra={"event": kind, "event_id": event.id})
        for listening in self._listeners:
            listening.news.set()
        return event

    def since(self, id_: int) -> tuple[Event, ...]:
        """The events after the one with this id, the oldest first. When some of them are not kept any more, a `missed`
        event comes before those that are."""
        oldest = self.last - len(self._ring)
        if oldest <= id_ <= self.last and id_ >= self._first:
            return tuple(event for event in self._ring if event.id > id_)
        ours = self._first <= id_ <= self.last
        why = "more happened than is kept" if ours else "hublet was started anew since"
        return (Event(oldest, self._clock(), "missed", detail=why), *self._ring)

    def subscribe(self, door: str = "", after: int | None = None) -> Listening:
        """Listen from now on, or from after the event with the id `after`. The caller has to `close` the result. Raises
        TooManyListeners."""
        if sum(listening.door == door for listening in self._listeners) >= MOST_LISTENERS:
            raise TooManyListeners
        listening = Listening(self, door, self.last if after is None else after)
        if self._closed:
            listening.close()
        else:
            self._listeners.add(listening)
            self.on_listen()
        return listening

    def __len__(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def clear(self) -> None:
        """Drop the kept events: they hold names that came from the Hub."""
        self._ring.clear()

    def beat(self) -> None:
        """Send every listener a sign of life. A reader that gets none any more knows that the other end has gone."""
        for listening in self._listeners:
            listening.beats = True
            listening.news.set()

    def hang_up(self) -> None:
        """End every stream now; who wants to go on connects again."""
        for listening in tuple(self._listeners):
            listening.close()

    def close(self) -> None:
        """End every stream, and from now on each as soon as it begins: a daemon that stops waits for no listener."""
        self._closed = True
        self.hang_up()

    def forget(self, listening: Listening) -> None:
        self._listeners.discard(listening)


class Listening:
    """One listener's place in the ring. Transitions: open → closed."""

    def __init__(self, events: Events, door: str, place: int) -> None:
        self._events, self.door, self.place = events, door, place
        self.news = asyncio.Event()
        self.beats = False
        self.closed = False
        if place != events.last:
            self.news.set()

    async def next(self) -> tuple[Event, ...] | None:
        """Wait for events, and give those since the last call: an empty tuple for a sign of life without an event, None
        when it is closed."""
        while not self.closed:
            await self.news.wait()
            self.news.clear()
            if self.closed:
                break
            found = self._events.since(self.place) if self.place != self._events.last else ()
            self.place = self._events.last
            beats, self.beats = self.beats, False
            if found or beats:
                return found
        return None

    def close(self) -> None:
        self.closed = True
        self.news.set()
        self._events.forget(self)


def _line(text: str) -> str:
    """The text as one line of at most _LONGEST characters: it may hold the Hub's words."""
    clean = "".join(c if c.isprintable() else "\ufffd" for c in text[: _LONGEST + 1])
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"
