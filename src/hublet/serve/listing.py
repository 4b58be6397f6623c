"""Which assistants are served in which scopes, for everything that shows or exports them."""

from __future__ import annotations

from collections.abc import Iterator

from hublet.core.errors import HubletError
from hublet.core.questions import Assistant, Roster, Slug
from hublet.core.records import Record
from hublet.core.snapshot import Snapshot
from hublet.core.state import members


def listed(snapshot: Snapshot) -> Iterator[tuple[Assistant, str | None, Record]]:
    """Each assistant in each scope that lists it: its Question, the organization's slug (None in the personal scope),
    and the record that is served. The personal scope comes first."""
    scopes: dict[str | None, str | None] = {None: None} | {id_: slug for id_, slug, _ in snapshot.organizations()}
    for scope, organization in scopes.items():
        for slug in members(snapshot.records.get(Roster(scope, False))):
            question = Assistant(scope, False, slug)
            record = snapshot.records.get(question)
            if isinstance(record, Record):
                yield question, organization, record


def slug_of(text: str) -> Slug:
    """Read OWNER/PACKAGE. Raises HubletError for anything else."""
    try:
        return Slug.parse(text)
    except ValueError:
        raise HubletError(f"{text} is not of the form OWNER/PACKAGE", hint="see `hublet status`") from None
