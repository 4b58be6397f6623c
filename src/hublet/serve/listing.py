"""Which assistants are served, and in which scopes: what all that shows or hands over assistants goes by."""

from __future__ import annotations

from collections.abc import Iterator

from hublet.core.errors import HubletError
from hublet.core.questions import Assistant, Roster, Slug
from hublet.core.records import Record
from hublet.core.snapshot import Snapshot
from hublet.core.state import members


def listed(snapshot: Snapshot) -> Iterator[tuple[Assistant, str | None, Record]]:
    """Each assistant in each scope that lists it, as it is served, with that organization's slug; the personal scope
    first."""
    scopes: dict[str | None, str | None] = {None: None} | {id_: slug for id_, slug, _ in snapshot.organizations()}
    for scope, organization in scopes.items():
        for slug in members(snapshot.records.get(Roster(scope, False))):
            question = Assistant(scope, False, slug)
            record = snapshot.records.get(question)
            if isinstance(record, Record):
                yield question, organization, record


def slug_of(text: str) -> Slug:
    """Raises HubletError."""
    try:
        return Slug.parse(text)
    except ValueError:
        raise HubletError(f"{text} is not of the form OWNER/PACKAGE", hint="see `hublet status`") from None
