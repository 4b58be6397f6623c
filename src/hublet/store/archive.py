"""Questions and what is known of them, in and out of the sealed store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from hublet.core.errors import StoreCorrupt
from hublet.core.ledger import Ledger, ledger_from_plain, ledger_to_plain
from hublet.core.questions import Question, to_text
from hublet.core.records import Known, decode_known, encode_known
from hublet.core.state import Change, Put, State
from hublet.store.sealed import Corrupt, Store, Write

_DOCUMENT = "document"
_LEDGER = "ledger"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything that was kept. `lost` counts records that are there but unreadable: their Questions are unknown."""

    state: State
    documents: Mapping[str, object] = field(default_factory=dict)
    lost: int = 0


class Archive:
    """Reads and writes a Store in the product's own words. Calls block (they write to disk) and must not overlap.

    A document is a small JSON value kept under a name, sealed like everything else: the account, the local tokens.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.envelope = store.envelope

    def load(self) -> Loaded:
        """Raises StoreCorrupt or StoreError when the store as a whole can't be believed."""
        records: dict[Question, Known] = {}
        documents: dict[str, object] = {}
        lost = 0
        for row in self._store.load():
            if isinstance(row, Corrupt):
                lost += 1
            elif row.kind == _DOCUMENT:
                name, value = orjson.loads(row.plaintext)
                documents[name] = value
            else:
                try:
                    question, known = decode_known(row.kind, row.plaintext)
                except StoreCorrupt:
                    lost += 1
                    continue
                records[question] = known
        plain = documents.pop(_LEDGER, None)
        ledger = ledger_from_plain(plain) if isinstance(plain, dict) else Ledger()
        return Loaded(State(records, ledger), documents, lost)

    def save(self, changes: Iterable[Change], ledger: Ledger) -> None:
        """One transaction: all of it or nothing. Raises StoreError."""
        writes = [self._document(_LEDGER, ledger_to_plain(ledger))]
        deletes = []
        for change in changes:
            identity = self._identity(change.question)
            if isinstance(change, Put):
                writes.append(Write(change.question.kind, identity, encode_known(change.question, change.known)))
            else:
                deletes.append(identity)
        self._store.commit(writes, deletes)

    def keep(self, name: str, value: object) -> None:
        """Replace the document of a name; None removes it. Raises StoreError."""
        if value is None:
            self._store.commit([], [self._document_identity(name)])
        else:
            self._store.commit([self._document(name, value)], [])

    def tidy(self) -> None:
        """Try again to take replaced ciphertext out of the live files, if that is still due."""
        if self._store.scrub_due:
            self._store.scrub()

    @property
    def untidy(self) -> bool:
        """Whether replaced ciphertext may still be in the live files."""
        return self._store.scrub_due

    def close(self) -> None:
        self._store.close()

    def _identity(self, question: Question) -> bytes:
        return self.envelope.identify(to_text(question).encode())

    def _document_identity(self, name: str) -> bytes:
        return self.envelope.identify(orjson.dumps([_DOCUMENT, name]))

    def _document(self, name: str, value: object) -> Write:
        return Write(_DOCUMENT, self._document_identity(name), orjson.dumps([name, value]))
