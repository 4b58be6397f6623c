"""Questions and what is known of them, in and out of the sealed store."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from hublet.core.envelope import Envelope, Key
from hublet.core.errors import StoreCorrupt
from hublet.core.ledger import Ledger, ledger_from_plain, ledger_to_plain
from hublet.core.questions import Question, to_text
from hublet.core.records import Known, decode_known, encode_known
from hublet.core.state import Change, Put, State
from hublet.store.rows import Corrupt, Row, Write
from hublet.store.schema import Header
from hublet.store.sealed import Store
from hublet.store.unlocking import KeySource

_DOCUMENT = "document"
_LEDGER = "ledger"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything that was kept. `lost` counts records that are there but unreadable: their Questions are unknown."""

    state: State
    documents: Mapping[str, object] = field(default_factory=dict)
    lost: int = 0


class Archive:
    """Reads and writes a Store in the product's own words. Calls block: they write to disk, one at a time.

    A document is a small JSON value kept under a name, sealed like everything else: the account, the local tokens.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._one_at_a_time = threading.Lock()

    @property
    def envelope(self) -> Envelope:
        """What names records and icons; another one after `rekey`."""
        return self._store.envelope

    @property
    def header(self) -> Header:
        return self._store.header

    def load(self) -> Loaded:
        """Raises StoreCorrupt or StoreError when the store as a whole can't be believed."""
        records: dict[Question, Known] = {}
        documents: dict[str, object] = {}
        lost = 0
        with self._one_at_a_time:
            rows = self._store.load()
        for row in rows:
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
        with self._one_at_a_time:
            writes = [self._document(_LEDGER, ledger_to_plain(ledger))]
            deletes = []
            for change in changes:
                identity = _identity(change.question, self.envelope)
                if isinstance(change, Put):
                    writes.append(Write(change.question.kind, identity, encode_known(change.question, change.known)))
                else:
                    deletes.append(identity)
            self._store.commit(writes, deletes)

    def keep(self, name: str, value: object) -> None:
        """Replace the document of a name; None removes it. Raises StoreError."""
        with self._one_at_a_time:
            if value is None:
                self._store.commit([], [_document_identity(name, self.envelope)])
            else:
                self._store.commit([self._document(name, value)], [])

    def rekey(self, source: KeySource, kek: Key, now: float) -> int:
        """Seal everything anew under a new data key, and that one under `kek`; the number of records that were lost.

        Every id and every icon's name changes. A record that can't be read would not be found under its new id; it was
        unknown already. Raises StoreError.
        """
        with self._one_at_a_time:
            return self._store.rekey(source, kek, _renamed, now)

    def escrow(self, code: Key, now: float) -> None:
        """Let a recovery code open the store too, in place of the one before. Raises StoreError."""
        with self._one_at_a_time:
            self._store.escrow(code, now)

    def tidy(self) -> None:
        """Try again to take replaced ciphertext out of the live files, if that is still due."""
        with self._one_at_a_time:
            if self._store.scrub_due:
                self._store.scrub()

    @property
    def untidy(self) -> bool:
        """Whether replaced ciphertext may still be in the live files."""
        return self._store.scrub_due

    def close(self) -> None:
        with self._one_at_a_time:  # a change of key that is being written is written to its end
            self._store.close()

    def _document(self, name: str, value: object) -> Write:
        return Write(_DOCUMENT, _document_identity(name, self.envelope), orjson.dumps([name, value]))


def _identity(question: Question, envelope: Envelope) -> bytes:
    return envelope.identify(to_text(question).encode())


def _document_identity(name: str, envelope: Envelope) -> bytes:
    return envelope.identify(orjson.dumps([_DOCUMENT, name]))


def _renamed(row: Row, envelope: Envelope) -> bytes | None:
    """The id that a record has by another envelope: what it is filed under stands in the record itself."""
    if row.kind == _DOCUMENT:
        return _document_identity(orjson.loads(row.plaintext)[0], envelope)
    try:
        question, _ = decode_known(row.kind, row.plaintext)
    except StoreCorrupt:
        return None
    return _identity(question, envelope)
