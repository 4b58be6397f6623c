"""What happened, as values, for whoever wants to wait instead of asking again and again.

The last events are kept in a ring, and everybody who listens reads from that one ring: a listener is a place in it. So
one that is slow costs no memory; when the ring has moved on past its place it is told that it missed something.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import Literal, get_args

import orjson

from hublet.core.values import dataclass

Kind = Literal[
    "revision",  # an assistant, package, organization list or policy is new or another
    "withdrawn",  # the Hub has taken one back, and it is served no more
    "held",  # in quarantine, until a person agrees
    "accepted",  # a person has agreed
    "endpoints",  # an assistant runs or sends elsewhere than before
    "stale",  # not confirmed for clearly longer than the interval
    "expired",  # secret values that are no longer served
    "locked",
    "unlocked",
    "offline",
    "online",
    "pass",  # a pass over the Hub has ended
    "config",  # the changed config file was taken over, or refused
    "pinned",
    "unpinned",
    "missed",  # told to one listener: events before the next one are no longer there
]
KINDS: tuple[Kind, ...] = get_args(Kind)

MOST_KEPT = 256
MOST_LISTENERS = 32
"""At one door."""
_LONGEST = 500

log = logging.getLogger("hublet.events")

# Without names: what came from the Hub is sealed, and a log is not.
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
    """`id` grows, over restarts too. `what` is its name for people (an assistant's is `owner/package`), `scope` the
    organization's id where there is one, `detail` the rest in words. No secret's value or name is in any of it."""

    id: int
    at: float
    kind: Kind
    what: str = ""
    scope: str | None = None
    detail: str = ""

    def to_json(self) -> bytes:
        """One line, without its end."""
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
    """At that door nobody more can listen now."""


class Events:
    """Belongs to one event loop. `counts` is how many there were of each kind.

    Ids begin at the start's time in milliseconds and are counted up from there: so they grow over restarts as well, and
    one of an earlier process is known for what it is.
    """

    def __init__(self, clock: Callable[[], float], *, most: int = MOST_KEPT) -> None:
        self._clock = clock
        self._ring: deque[Event] = deque(maxlen=most)
        self._first = int(clock() * 1000)
        self._listeners: set[Listening] = set()
        self._closed = False
        self._logged: tuple[Kind, int] | None = None
        self.last = self._first
        """The id of the last event; of one that never was while there was none."""
        self.counts: Counter[Kind] = Counter()
        self.on_listen: Callable[[], None] = lambda: None
        """Called when somebody begins to listen."""

    def tell(self, kind: Kind, *, what: str = "", scope: str | None = None, detail: str = "") -> Event:
        """Something has happened."""
        self.last += 1
        event = Event(self.last, self._clock(), kind, _line(what), scope, _line(detail))
        self._ring.append(event)
        self.counts[kind] += 1
        if kind in _SENTENCES and (kind, int(event.at)) != self._logged:
            self._logged = kind, int(event.at)  # when twelve go stale at once, one line says so
            log.info("%s", _SENTENCES[kind], extra={"event": kind, "event_id": event.id})
        for listening in self._listeners:
            listening.news.set()
        return event

    def since(self, id_: int) -> tuple[Event, ...]:
        """What happened after the event of this id, the oldest first; led by a `missed` when not all of it is kept."""
        oldest = self.last - len(self._ring)
        if oldest <= id_ <= self.last and id_ >= self._first:
            return tuple(event for event in self._ring if event.id > id_)
        ours = self._first <= id_ <= self.last
        why = "more happened than is kept" if ours else "hublet was started anew since"
        return (Event(oldest, self._clock(), "missed", detail=why), *self._ring)

    def subscribe(self, door: str = "", after: int | None = None) -> Listening:
        """Listen from now on, or from behind an event; `close` it in the end. Raises TooManyListeners."""
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
        """Let go of what has happened: it names what came from the Hub."""
        self._ring.clear()

    def beat(self) -> None:
        """A sign of life for everybody who listens: how a reader notices that the other end has gone."""
        for listening in self._listeners:
            listening.beats = True
            listening.news.set()

    def hang_up(self) -> None:
        """End what listens now: who wants to goes on with another connection."""
        for listening in tuple(self._listeners):
            listening.close()

    def close(self) -> None:
        """End what listens, and whatever would from now on: a stop waits for nobody."""
        self._closed = True
        self.hang_up()

    def forget(self, listening: Listening) -> None:
        self._listeners.discard(listening)


class Listening:
    """One listener's place in the ring. Transitions: open → closed; nothing of an open one is kept but its place."""

    def __init__(self, events: Events, door: str, place: int) -> None:
        self._events, self.door, self.place = events, door, place
        self.news = asyncio.Event()
        self.beats = False
        self.closed = False
        if place != events.last:
            self.news.set()

    async def next(self) -> tuple[Event, ...] | None:
        """What has happened since the last call, waiting for something; empty for a mere sign of life, None at the
        end."""
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
    """One line of a bounded length: the Hub's words may be in it."""
    clean = "".join(c if c.isprintable() else "\ufffd" for c in text[: _LONGEST + 1])
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"
