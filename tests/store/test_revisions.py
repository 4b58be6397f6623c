"""Earlier revisions in the store: kept once, left on the disk, gone when they are to be, noticed when damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hublet.core.envelope import Key
from hublet.core.history import REVISION, TIMELINE, Retention, replaced, revision_of
from hublet.core.ledger import Ledger
from hublet.core.questions import Assistant, Slug
from hublet.core.records import Content, Hole, Record, Template
from hublet.core.secretstr import SecretStr
from hublet.core.state import Drop, Put, State, Verdict, apply
from hublet.keys.file import FileSource
from hublet.store.archive import Archive
from hublet.store.schema import database_name
from hublet.store.sealed import Store

DEV = Assistant(None, False, Slug("acme", "dev"))


def content(text: str) -> Content:
    body = f'{{"key":"","text":"{text * 500}"}}'.encode()
    return Content(Template(body, (Hole(8, "secret", "KEY"),)), {"KEY": SecretStr("canary-value-1")})


class Kept:
    """An archive on disk, changed as `Sync` does it."""

    def __init__(self, directory: Path) -> None:
        self.data, self.source = directory / "data", FileSource(directory / "key" / "kek")
        self.state = State()
        self.now = 0.0
        self.open()

    def open(self) -> int:
        """The number of records that are lost."""
        self.archive = Archive(Store.open(self.data, self.source))
        loaded = self.archive.load()
        self.state = loaded.state
        return loaded.lost

    def reopened(self) -> int:
        self.archive.close()
        return self.open()

    def say(self, text: str | None) -> None:
        self.now += 10
        change = Drop(DEV) if text is None else Put(DEV, Record(content(text), DEV, self.now), "changed")
        self.archive.save([change], Ledger(), list(replaced([change], self.state, self.now)))
        self.state = apply(self.state, Verdict((change,), Ledger()))

    def rows(self, kind: str) -> int:
        with closing(sqlite3.connect(self.data / database_name)) as connection:
            return int(connection.execute("SELECT count(*) FROM records WHERE kind = ?", (kind,)).fetchone()[0])

    def texts(self) -> list[str]:
        """The first letter of each period's revision."""
        periods = self.archive.timelines()[DEV].periods
        found = [self.archive.revision(DEV, period.revision) for period in periods]
        return [one.template.text.decode()[18] if one is not None else "?" for one in found]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    found = Kept(tmp_path)
    yield found
    found.archive.close()


def test_a_revision_that_comes_back_is_kept_once_and_without_values(kept: Kept) -> None:
    for text in "ABABA":
        kept.say(text)
    assert kept.texts() == ["A", "B", "A", "B"]
    assert kept.rows(REVISION) == 2
    revision = kept.archive.revision(DEV, revision_of(content("A")))
    assert revision is not None
    assert revision.bindings == {}


def test_they_are_there_after_a_restart_and_after_a_new_key(kept: Kept) -> None:
    for text in "ABC":
        kept.say(text)
    assert kept.reopened() == 0
    assert kept.texts() == ["A", "B"]
    kek = Key(bytes(range(32)))
    kept.source.stage(kek)
    assert kept.archive.rekey(kept.source, kek, 1.0) == 0
    kept.source.promote()
    assert kept.texts() == ["A", "B"]
    assert kept.reopened() == 0
    assert kept.texts() == ["A", "B"]


def test_too_many_and_too_old_ones_leave_the_store(kept: Kept) -> None:
    kept.archive.retention = Retention(2, 25.0)
    for text in "ABCD":
        kept.say(text)
    assert kept.texts() == ["B", "C"]
    assert kept.rows(REVISION) == 2
    kept.now += 100
    kept.say("E")
    assert kept.texts() == ["D"]
    kept.archive.retention = Retention(0, 25.0)
    kept.say("F")
    assert kept.texts() == []
    assert kept.rows(REVISION) == 0


def test_another_account_drops_them_all(kept: Kept) -> None:
    for text in "ABC":
        kept.say(text)
    kept.archive.save([Drop(DEV)], Ledger(), list(replaced([Drop(DEV)], kept.state, 99.0)), anew=True)
    assert kept.archive.timelines() == {}
    assert (kept.rows(REVISION), kept.rows(TIMELINE)) == (0, 0)
    assert kept.reopened() == 0


def test_opening_leaves_them_shut(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in "ABC":
        kept.say(text)
    opened: list[str] = []
    envelope_open = type(kept.archive.envelope).open

    def counted(self: object, kind: str, *rest: bytes) -> bytes:
        opened.append(kind)
        return envelope_open(self, kind, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(type(kept.archive.envelope), "open", counted)
    kept.reopened()
    assert REVISION not in opened
    assert kept.texts() == ["A", "B"]
    assert opened.count(REVISION) == 2


def _damage(kept: Kept, statement: str, *values: object) -> None:
    kept.archive.close()
    with closing(sqlite3.connect(kept.data / database_name)) as connection:
        assert connection.execute(statement, values).rowcount > 0
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_a_damaged_revision_is_lost_and_nothing_else(kept: Kept) -> None:
    for text in "ABC":
        kept.say(text)
    _damage(
        kept,
        "UPDATE records SET sealed = CAST(substr(sealed, 1, 60) || x'00' || substr(sealed, 62) AS BLOB) WHERE kind = ?",
        REVISION,
    )
    assert kept.open() == 0, "it is not looked at before somebody asks"
    assert kept.texts() == ["?", "?"]
    assert isinstance(kept.state.records[DEV], Record)


def test_a_record_that_was_made_to_look_like_a_revision_is_counted_as_lost(kept: Kept) -> None:
    kept.say("A")
    _damage(kept, "UPDATE records SET kind = ? WHERE kind = 'assistant'", REVISION)
    assert kept.open() == 1


def test_a_revision_that_was_made_to_look_like_a_record_is_counted_as_lost(kept: Kept) -> None:
    kept.say("A")
    kept.say("B")
    _damage(kept, "UPDATE records SET kind = 'assistant' WHERE kind = ?", REVISION)
    assert kept.open() == 1
