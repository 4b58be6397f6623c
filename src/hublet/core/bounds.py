"""What is forgotten so that the cache can't grow without end: icons that nothing shows any more, and the oldest
refusals of names that only clients have asked for, since clients can make up names without end.

What the Hub has, or had and was served, is never forgotten for this. What is forgotten is asked of the Hub again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hublet.core.locations import is_found
from hublet.core.questions import Icon, Question, Secret
from hublet.core.records import Known, Record, Withdrawn
from hublet.core.state import Change, Put

MOST_NEVER_SERVED = 500
"""How many refusals are kept of assistants and packages that were never served."""
MOST_NOT_FOUND = 500
"""How many secrets are kept that the Hub does not know. Those to which assistants refer come on top."""


def icons_not_shown(records: Mapping[Question, Known]) -> tuple[Icon, ...]:
    """The icons that no record refers to."""
    shown = {
        hole.name
        for known in records.values()
        if isinstance(known, Record)
        for hole in known.content.template.holes
        if hole.kind == "icon"
    }
    return tuple(question for question in records if isinstance(question, Icon) and question.url not in shown)


def beyond_bounds(
    records: Mapping[Question, Known],
    changes: Mapping[Question, Change],
    confirmed: Mapping[Question, float],
    *,
    whole: bool,
) -> tuple[Question, ...]:
    """The Questions to forget after these changes: of each sort those beyond its bound that the Hub confirmed longest
    ago. A `whole` pass brings no names that clients made up, so it forgets no secret: it may have just asked for it."""
    added = [change.known for change in changes.values() if isinstance(change, Put)]
    too_many: list[Question] = []
    for is_one, most, due in ((_never_served, MOST_NEVER_SERVED, True), (_not_found, MOST_NOT_FOUND, not whole)):
        if due and any(is_one(known) for known in added):
            found = [question for question, known in _after(records, changes) if is_one(known)]
            found.sort(key=lambda question: confirmed.get(question, 0.0))
            too_many += found[: max(0, len(found) - most)]
    return tuple(too_many)


def _after(records: Mapping[Question, Known], changes: Mapping[Question, Change]) -> Iterator[tuple[Question, Known]]:
    yield from ((question, known) for question, known in records.items() if question not in changes)
    yield from ((question, change.known) for question, change in changes.items() if isinstance(change, Put))


def _never_served(known: Known) -> bool:
    return isinstance(known, Withdrawn) and not known.served


def _not_found(known: Known) -> bool:
    return isinstance(known, Record) and isinstance(known.source, Secret) and not is_found(known.content)
