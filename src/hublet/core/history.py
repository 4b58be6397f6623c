"""What the Hub said earlier: revisions, and the periods in which each of them was its word.

A revision is a content of a Question as a template, so it holds no secret value. The present revision is the record
itself. When a change replaces it, it is kept with the time from which and until which it stood, and with the names of
the secrets whose values changed at that moment. (Only the names: nothing may be left by which guesses of an old value
could be tested.) A gap between two periods means that the Hub had taken the thing back in the meantime.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

import orjson

from hublet.core.errors import StoreCorrupt
from hublet.core.questions import Assistant, Block, Organizations, Policy, Question, from_text, to_text
from hublet.core.records import Content, Record, content_from_header, content_to_header, frame, unframe
from hublet.core.secretstr import SecretStr
from hublet.core.state import Change, Put, State
from hublet.core.values import dataclass

REVISION = "revision"
TIMELINE = "timeline"
_ID_SIZE = 12


@dataclass(frozen=True, slots=True)
class Retention:
    """At most `count` earlier revisions of a Question are kept, and none that ended more than `age` seconds ago."""

    count: int = 50
    age: float = 365 * 86400.0


@dataclass(frozen=True, slots=True)
class Period:
    """A time in which a revision stood. `secrets` are the names of those whose values changed when it ended."""

    revision: str
    since: float
    until: float
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timeline:
    """The periods of a Question that have ended, the earliest first."""

    question: Question
    periods: tuple[Period, ...] = ()


@dataclass(frozen=True, slots=True)
class Replaced:
    """A content that a change has replaced, without its bindings, and the period in which it stood."""

    question: Question
    content: Content
    period: Period


def is_historic(question: Question) -> bool:
    """Whether earlier revisions of a Question are kept."""
    return isinstance(question, Assistant | Block | Organizations | Policy)


def without_values(content: Content) -> Content:
    """A content without its bindings."""
    return replace(content, bindings={})


def revision_of(content: Content) -> str:
    """The name of a content as a revision: 12 hexadecimal digits of SHA-256, the same on every machine. Values of
    secrets and icons do not change it."""
    template = content.template
    holes = [[hole.at, hole.kind, hole.name if hole.kind == "secret" else ""] for hole in template.holes]
    return hashlib.sha256(orjson.dumps(holes) + b"\n" + template.text).hexdigest()[:_ID_SIZE]


def replaced(changes: Iterable[Change], before: State, now: float) -> Iterator[Replaced]:
    """The contents that these changes replace, as far as earlier revisions are kept of their Questions."""
    for change in changes:
        question = change.question
        old = before.records.get(question)
        if not is_historic(question) or not isinstance(old, Record):
            continue
        new = change.known if isinstance(change, Put) else None
        secrets: tuple[str, ...] = ()
        if isinstance(new, Record):
            secrets = _rotated(old.content, new.content)
            if new.changed_at == old.changed_at and not secrets:
                continue  # only its source is another
        period = Period(revision_of(old.content), old.changed_at, max(now, old.changed_at), secrets)
        yield Replaced(question, without_values(old.content), period)


def extended(timeline: Timeline, period: Period, retention: Retention) -> Timeline:
    """A timeline with one more period, and without the periods that are beyond the retention."""
    periods = list(timeline.periods)
    if period in periods[-1:]:
        return timeline  # it was written before, although the store had reported that the writing failed
    if periods and _is_same(periods[-1], period.revision, period.since):
        period = replace(period, since=periods.pop().since)
    periods.append(period)
    return Timeline(timeline.question, kept(periods, retention, period.until))


def kept(periods: Iterable[Period], retention: Retention, now: float) -> tuple[Period, ...]:
    """The periods that the retention allows to be kept: those of the latest revisions."""
    young = [period for period in periods if now - period.until <= retention.age]
    wanted: set[str] = set()
    for period in reversed(young):
        if len(wanted | {period.revision}) > retention.count:
            break
        wanted.add(period.revision)
    return tuple(period for period in young if period.revision in wanted)


def merged(timeline: Timeline, present: Record | None) -> tuple[tuple[str, float, float | None, tuple[str, ...]], ...]:
    """(revision, since, until, names of secrets whose values changed when it began) for each period and for the present
    one, in order. The present one has no `until`."""
    rows: list[tuple[str, float, float | None, tuple[str, ...]]] = []
    begins: tuple[str, ...] = ()
    for period in timeline.periods:
        rows.append((period.revision, period.since, period.until, begins))
        begins = period.secrets
    if present is not None:
        revision, since = revision_of(present.content), present.changed_at
        if timeline.periods and _is_same(timeline.periods[-1], revision, since):
            since, begins = rows[-1][1], rows.pop()[3]
        rows.append((revision, since, None, begins))
    return tuple(rows)


def encode_revision(question: Question, content: Content) -> bytes:
    """The plaintext of a revision, before it is sealed: without bindings, its text compressed."""
    import zlib

    header = {"question": to_text(question), **content_to_header(without_values(content))}
    return frame(header, zlib.compress(content.template.text))


def decode_revision(plaintext: bytes) -> tuple[Question, Content]:
    """The inverse of `encode_revision`. Raises StoreCorrupt for what that does not write."""
    import zlib

    try:
        header, packed = unframe(plaintext)
        return from_text(str(header.pop("question"))), content_from_header(header, zlib.decompress(packed))
    except (ValueError, KeyError, zlib.error):
        raise StoreCorrupt("a revision can't be read although its seal is intact") from None


def encode_timeline(timeline: Timeline) -> bytes:
    """The plaintext of a timeline, before it is sealed: a JSON array."""
    periods = [[p.revision, p.since, p.until, list(p.secrets)] for p in timeline.periods]
    return orjson.dumps([to_text(timeline.question), periods])


def decode_timeline(plaintext: bytes) -> Timeline:
    """The inverse of `encode_timeline`. Raises StoreCorrupt for what that does not write."""
    try:
        question, periods = orjson.loads(plaintext)
        return Timeline(
            from_text(question),
            tuple(Period(str(r), float(since), float(until), tuple(names)) for r, since, until, names in periods),
        )
    except (ValueError, TypeError):
        raise StoreCorrupt("a timeline can't be read although its seal is intact") from None


def _is_same(last: Period, revision: str, since: float) -> bool:
    """Whether a period only continues the last one: nothing but an icon has changed between them."""
    return last.revision == revision and last.until == since and not last.secrets


def _rotated(old: Content, new: Content) -> tuple[str, ...]:
    nothing = SecretStr("")
    return tuple(
        name
        for name, value in old.bindings.items()
        if name in new.bindings and new.bindings.get(name, nothing).reveal() != value.reveal()
    )
