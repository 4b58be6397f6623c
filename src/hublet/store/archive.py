"""Questions and what is known of them: written to the sealed store, and read from it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from itertools import chain
from pathlib import Path

import orjson

from hublet.core.envelope import Envelope, Key
from hublet.core.errors import StoreCorrupt, StoreError, StoreFormat
from hublet.core.history import (
    REVISION,
    TIMELINE,
    Replaced,
    Retention,
    Timeline,
    decode_revision,
    decode_timeline,
    encode_revision,
    encode_timeline,
    extended,
    kept,
    revision_of,
)
from hublet.core.ledger import Ledger, Lock, ledger_from_plain, ledger_to_plain
from hublet.core.questions import Question, to_text
from hublet.core.records import Content, Known, decode_known, encode_known
from hublet.core.state import Change, Put, State
from hublet.core.values import dataclass
from hublet.store.counting import Counter
from hublet.store.place import StoreChanged, StoreMisplaced
from hublet.store.rows import Corrupt, Row, Unopened, Write
from hublet.store.schema import Header
from hublet.store.sealed import Store
from hublet.store.unlocking import KeySource

_DOCUMENT = "document"
_LEDGER = "ledger"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything that the store holds. `lost` counts the records that are there but can't be read: their Questions are
    unknown."""

    state: State
    documents: Mapping[str, object] = field(default_factory=dict)
    lost: int = 0


@dataclass(slots=True)
class _Contents:
    """A store's rows, sorted by what they are. `unopened` has the ids of the revisions that were left shut."""

    records: dict[Question, Known] = field(default_factory=dict)
    documents: dict[str, object] = field(default_factory=dict)
    timelines: dict[Question, Timeline] = field(default_factory=dict)
    unopened: set[bytes] = field(default_factory=set)
    lost: int = 0

    def add(self, row: Row | Corrupt | Unopened) -> None:
        if isinstance(row, Unopened):
            self.unopened.add(row.id)
        elif isinstance(row, Corrupt):
            self.lost += 1
        elif row.kind == TIMELINE:
            timeline = decode_timeline(row.plaintext)
            self.timelines[timeline.question] = timeline
        elif row.kind == _DOCUMENT:
            name, value = orjson.loads(row.plaintext)
            self.documents[name] = value
        elif row.kind != REVISION:  # revisions come opened only when something else is damaged; they stay on the disk
            self._add_known(row)

    def _add_known(self, row: Row) -> None:
        try:
            question, known = decode_known(row.kind, row.plaintext)
        except StoreCorrupt:
            self.lost += 1
        else:
            self.records[question] = known


class Archive:
    """Reads and writes a Store in terms of Questions, Records and documents. Calls block: they read and write the disk,
    one at a time.

    A document is a small JSON value that is kept under a name and sealed like everything else, such as the account and
    the local tokens. Earlier revisions stay on the disk until one is asked for; their timelines are kept in memory.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._one_at_a_time = threading.Lock()
        self._timelines: dict[Question, Timeline] = {}
        self._documents: dict[str, object] = {}
        self._held: bool = False
        self.retention = Retention()

    @property
    def envelope(self) -> Envelope:
        """What the ids of records and the names of icons are made with. After `rekey` it is another one."""
        return self._store.envelope

    @property
    def header(self) -> Header:
        return self._store.header

    @property
    def generation(self) -> int:
        """The number of the store's last commit."""
        return self._store.generation

    def verify(self) -> int:
        """Read all records from the disk, and return how many can't be opened. Raises StoreError when the store as a
        whole can't be trusted."""
        with self._one_at_a_time:
            return sum(isinstance(row, Corrupt) for row in self._store.load())

    def load(self) -> Loaded:
        """Read everything. Raises StoreCorrupt or StoreError when the store as a whole can't be trusted."""
        with self._one_at_a_time:
            rows = self._store.load(unopened=frozenset({REVISION}))
        contents = _Contents()
        for row in rows:
            contents.add(row)
        # A revision that no timeline names is another record, which damage has made look like a revision.
        named = {id for timeline in contents.timelines.values() for id in self._revisions(timeline).values()}
        lost = contents.lost + len(contents.unopened - named)
        plain = contents.documents.pop(_LEDGER, None)
        self._timelines, self._documents = contents.timelines, dict(contents.documents)
        ledger = ledger_from_plain(plain) if isinstance(plain, dict) else Ledger()
        if lost:
            ledger = replace(ledger, validators={})  # what was lost may be part of an answer that has not changed
        if self._store.restored_at is not None and not self._held:
            ledger = replace(ledger, lock=Lock("restored", self._store.restored_at))
        return Loaded(State(contents.records, ledger), contents.documents, lost)

    def save(
        self, changes: Iterable[Change], ledger: Ledger, replaced: Iterable[Replaced] = (), *, anew: bool = False
    ) -> None:
        """Write the changes and the ledger in one transaction, all or nothing. Raises StoreError.

        The contents in `replaced` become history. With `anew` all history is dropped instead.
        """
        self._hold()
        with self._one_at_a_time:
            puts, deletes = [], []
            for change in changes:
                if isinstance(change, Put):
                    puts.append(change)
                else:
                    deletes.append(_identity(change.question, self.envelope))
            writes = [self._document(_LEDGER, ledger_to_plain(ledger))]
            timelines = {} if anew else self._with_history(replaced, writes, deletes)
            if anew:
                for timeline in self._timelines.values():
                    deletes.append(_timeline_identity(timeline.question, self.envelope))
                    deletes += self._revisions(timeline).values()
            self._store.commit(chain(writes, (self._put(put) for put in puts)), deletes)
            self._timelines = timelines

    def _put(self, put: Put) -> Write:
        question = put.question
        return Write(question.kind, _identity(question, self.envelope), encode_known(question, put.known))

    def timelines(self) -> dict[Question, Timeline]:
        """For each Question that has earlier revisions, when each of them was the present one."""
        return dict(self._timelines)

    def revision(self, question: Question, revision: str) -> Content | None:
        """The content of an earlier revision, without bindings; None when it is not kept. Raises StoreError."""
        id = _revision_identity(question, revision, self.envelope)
        with self._one_at_a_time:
            row = self._store.read(REVISION, id)
        if not isinstance(row, Row):
            return None
        found, content = decode_revision(row.plaintext)
        return content if found == question else None

    def _with_history(
        self, replaced: Iterable[Replaced], writes: list[Write], deletes: list[bytes]
    ) -> dict[Question, Timeline]:
        """The timelines, extended by what was replaced. The records to be written and deleted for that are added to
        `writes` and `deletes`."""
        before, timelines = self._timelines, dict(self._timelines)
        contents: dict[bytes, Write] = {}
        latest = float("-inf")
        for one in replaced:
            question = one.question
            timeline = timelines.get(question, Timeline(question))
            timelines[question] = extended(timeline, one.period, self.retention)
            id = _revision_identity(question, one.period.revision, self.envelope)
            contents[id] = Write(REVISION, id, encode_revision(question, one.content))
            latest = max(latest, one.period.until)
        for question, timeline in list(timelines.items()):
            was = before.get(question)
            periods = kept(timeline.periods, self.retention, latest)
            if was is timeline and periods == timeline.periods:
                continue
            timelines[question] = timeline = Timeline(question, periods)
            old = set(self._revisions(was).values()) if was is not None else set()
            new = set(self._revisions(timeline).values())
            deletes += old - new
            writes += [contents[id] for id in new - old]
            id = _timeline_identity(question, self.envelope)
            writes.append(Write(TIMELINE, id, encode_timeline(timeline)))
        return timelines

    def _revisions(self, timeline: Timeline) -> dict[str, bytes]:
        """The record id of each revision that a timeline names."""
        revisions = {period.revision for period in timeline.periods}
        return {name: _revision_identity(timeline.question, name, self.envelope) for name in revisions}

    def keep(self, name: str, value: object) -> None:
        """Keep `value` as the document called `name`, in place of the one before; None removes it. Raises
        StoreError."""
        self._hold()
        with self._one_at_a_time:
            if value is None:
                self._store.commit([], [_document_identity(name, self.envelope)])
            else:
                self._store.commit([self._document(name, value)], [])
            self._documents[name] = value

    @property
    def misplaced(self) -> bool:
        """Whether the store's file was deleted, or replaced or written to by another program. The next commit finds out
        whether it can go on."""
        return bool(self._store.place.problem) or self._store.place.touched

    def mend(self, state: State, error: StoreError | None = None) -> Path | None:
        """Make the store anew after an error that says that its file is missing, replaced or damaged; any other error
        is raised again. Without an error the store is made anew in any case. Returns the folder into which the file
        that lay in its place was moved, None when there was none.

        A file that was deleted or moved is still open here, so nothing is lost. For a file that was overwritten or
        damaged, what is in memory is written: `state` and the documents, but no history.
        """
        if error is not None and not isinstance(error, StoreMisplaced | StoreCorrupt | StoreFormat):
            raise error
        with self._one_at_a_time:
            writes: dict[bytes, Write] = {}
            try:
                rows = list(self._store.load())
            except StoreError:
                self._timelines = {}
            else:
                if isinstance(error, StoreChanged):
                    raise error  # the file is whole: the next commit goes on from it
                writes = {row.id: Write(row.kind, row.id, row.plaintext) for row in rows if isinstance(row, Row)}
            memory = [self._document(_LEDGER, ledger_to_plain(state.ledger))]
            memory += [self._document(name, value) for name, value in self._documents.items() if value is not None]
            for question, known in state.records.items():
                identity = _identity(question, self.envelope)
                memory.append(Write(question.kind, identity, encode_known(question, known)))
            writes |= {write.id: write for write in memory}
            return self._store.renew(writes.values())

    def rekey(self, source: KeySource, kek: Key, now: float) -> int:
        """Seal everything anew under a new data key, which is wrapped under `kek`. Returns the number of records that
        were left behind because they can't be read: their Questions were unknown already.

        Every record's id and every icon's name changes. Raises StoreError.
        """
        self._store.compare(Counter(source, self.header.store), now)
        self._hold()
        with self._one_at_a_time:
            return self._store.rekey(source, kek, _renamed, now)

    def escrow(self, code: Key, now: float) -> None:
        """Let a recovery code open the store too. The code before it opens it no longer. Raises StoreError."""
        with self._one_at_a_time:
            self._store.escrow(code, now)

    def tidy(self) -> None:
        """Try again to remove replaced ciphertext from the store's files, if that is still due."""
        with self._one_at_a_time:
            if self._store.scrub_due:
                self._store.scrub()

    def count(self) -> None:
        """Write the number of the last commit down at the key source, if that is still due. A keyring can be slow, so
        this does not keep other reads and writes waiting."""
        self._store.counter.write()

    @property
    def untidy(self) -> bool:
        """Whether replaced ciphertext may still be in the store's files."""
        return self._store.scrub_due

    @property
    def uncounted(self) -> bool:
        """Whether `count` has something to do."""
        return self._store.counter.due

    @property
    def counting(self) -> tuple[bool, str]:
        """Whether commits are counted at the key source, and what went wrong the last time; empty for nothing."""
        return self._store.counter.possible, self._store.counter.problem

    def _hold(self) -> None:
        """Write the lock into an older store that was put back, before anything else is written to it: after a commit
        its generation no longer tells that it is an older one."""
        if self._store.restored_at is not None and not self._held:
            ledger = self.load().state.ledger
            with self._one_at_a_time:
                self._store.commit([self._document(_LEDGER, ledger_to_plain(ledger))])
            self._held = True

    def close(self) -> None:
        with self._one_at_a_time:  # waits until a rekey in another thread is complete
            self._store.close()

    def _document(self, name: str, value: object) -> Write:
        return Write(_DOCUMENT, _document_identity(name, self.envelope), orjson.dumps([name, value]))


def _identity(question: Question, envelope: Envelope) -> bytes:
    return envelope.identify(to_text(question).encode())


def _timeline_identity(question: Question, envelope: Envelope) -> bytes:
    return envelope.identify(orjson.dumps([TIMELINE, to_text(question)]))


def _revision_identity(question: Question, revision: str, envelope: Envelope) -> bytes:
    return envelope.identify(orjson.dumps([REVISION, to_text(question), revision]))


def _document_identity(name: str, envelope: Envelope) -> bytes:
    return envelope.identify(orjson.dumps([_DOCUMENT, name]))


def _renamed(row: Row, envelope: Envelope) -> bytes | None:
    """The id that a record has under another envelope, made from what the record itself says; None when it can't be
    read."""
    if row.kind == _DOCUMENT:
        return _document_identity(orjson.loads(row.plaintext)[0], envelope)
    try:
        if row.kind == TIMELINE:
            return _timeline_identity(decode_timeline(row.plaintext).question, envelope)
        if row.kind == REVISION:
            question, content = decode_revision(row.plaintext)
            return _revision_identity(question, revision_of(content), envelope)
        question, _ = decode_known(row.kind, row.plaintext)
    except StoreCorrupt:
        return None
    return _identity(question, envelope)


def without_validators(row: Row) -> bytes:
    """A record's plaintext for a store from which other records were left out. The ledger loses its validators, so that
    the Hub sends whole answers again: a record that was lost may be part of one that has not changed."""
    if row.kind == _DOCUMENT:
        match orjson.loads(row.plaintext):
            case [str(name), dict(ledger)] if name == _LEDGER and ledger.get("validators"):
                return orjson.dumps([name, ledger | {"validators": {}}])
    return row.plaintext


def makes_sense(row: Row) -> bool:
    """Whether `load` can use a record that has opened."""
    try:
        if row.kind == _DOCUMENT:
            name, _ = orjson.loads(row.plaintext)
            return isinstance(name, str)
        if row.kind == TIMELINE:
            decode_timeline(row.plaintext)
        elif row.kind == REVISION:
            decode_revision(row.plaintext)
        else:
            decode_known(row.kind, row.plaintext)
    except (StoreCorrupt, ValueError):
        return False
    return True
