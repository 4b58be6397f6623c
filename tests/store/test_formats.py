"""Stores of every format that was released open for ever; an older hublet refuses a newer one, and says so."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hublet.core.envelope import Envelope, Key
from hublet.core.errors import StoreCorrupt, StoreError, StoreFormat
from hublet.core.questions import Assistant, Secret
from hublet.core.records import Record
from hublet.keys.file import FileSource
from hublet.store import migrations, schema
from hublet.store.archive import Archive
from hublet.store.sealed import Store
from hublet.store.unlocking import peek

KEPT = sorted((Path(__file__).parent / "kept").glob("format-*.sqlite3"))
KEY, CODE = bytes(range(32)), Key(bytes(range(32, 64)))


@pytest.fixture
def of_format_1(tmp_path: Path) -> Path:
    return put(KEPT[0], tmp_path)


def put(file: Path, folder: Path) -> Path:
    """A data directory with a kept store, and its key beside it."""
    for name, content in (("key/kek", KEY), ("data/hublet.sqlite3", file.read_bytes())):
        path = folder / name
        path.parent.mkdir(mode=0o700)
        path.touch(mode=0o600)
        path.write_bytes(content)
    return folder


def opened(folder: Path) -> Archive:
    return Archive(Store.open(folder / "data", FileSource(folder / "key" / "kek")))


def test_there_is_one_of_every_format() -> None:
    """Whoever adds a format has to keep a store of it."""
    assert [file.name for file in KEPT] == [f"format-{n + 1}.sqlite3" for n in range(schema.format_version)]
    assert all(file.stat().st_size < 64 * 1024 for file in KEPT)


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.stem)
def test_a_kept_store_opens_with_all_that_it_has(file: Path, tmp_path: Path) -> None:
    """Account, tokens, assistants, secrets, an earlier revision; and its recovery code opens it too."""
    archive = opened(put(file, tmp_path))
    loaded = archive.load()
    assert loaded.lost == 0
    assert loaded.documents.keys() == {"account", "tokens"}
    found = {
        str(question.slug): known for question, known in loaded.state.records.items() if isinstance(question, Assistant)
    }
    assert {"ada/a0", "ada/a1"} <= found.keys()
    now = found["ada/a1"]
    assert isinstance(now, Record)
    assert b"The second A1" in now.content.template.text
    assert any(isinstance(question, Secret) for question in loaded.state.records)
    ((question, timeline),) = archive.timelines().items()
    earlier = archive.revision(question, timeline.periods[0].revision)
    assert earlier is not None
    assert b"name: A1" in earlier.template.text
    archive.keep("account", None)
    assert archive.header.format == schema.format_version
    archive.close()
    with Store.recover(tmp_path / "data", CODE) as store:
        assert list(store.load())


def test_a_newer_format_is_refused_and_left_alone(of_format_1: Path) -> None:
    """One sentence that says what to do, and not a byte is changed."""
    file = of_format_1 / "data" / "hublet.sqlite3"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE header SET value = ? WHERE name = 'format'", (b"2",))
        connection.execute("CREATE TABLE more (x)")
    before = file.read_bytes()
    with pytest.raises(StoreFormat, match="of format 2, this hublet knows 1") as caught:
        opened(of_format_1)
    assert caught.value.hint == "use a newer hublet"
    assert file.read_bytes() == before


MORE = "CREATE TABLE notes (name TEXT PRIMARY KEY NOT NULL) WITHOUT ROWID"


def add_notes(connection: sqlite3.Connection, envelope: Envelope, randomness: Callable[[int], bytes]) -> None:
    connection.execute(MORE)
    ((id, kind, sealed),) = connection.execute("SELECT id, kind, sealed FROM records WHERE kind = 'policy'").fetchall()
    again = envelope.seal(kind, id, envelope.open(kind, id, sealed), randomness(32))
    connection.execute("UPDATE records SET sealed = ? WHERE id = ?", (again, id))


def fail(connection: sqlite3.Connection, envelope: Envelope, randomness: Callable[[int], bytes]) -> None:
    connection.execute(MORE)
    raise sqlite3.OperationalError("the disk is gone")


def later(monkeypatch: pytest.MonkeyPatch, step: migrations.Step | None) -> None:
    """A hublet with an invented format 2."""
    tables = {**schema.tables, "notes": MORE}
    monkeypatch.setattr(schema, "format_version", 2)
    monkeypatch.setattr(schema, "tables", tables)
    monkeypatch.setitem(schema.tables_of, 2, tables)
    if step is not None:
        monkeypatch.setitem(migrations.steps, 1, step)


def contents(folder: Path) -> Any:
    archive = opened(folder)
    try:
        loaded = archive.load()
        return loaded.state, dict(loaded.documents), archive.timelines()
    finally:
        archive.close()


def test_an_upgrade_keeps_everything_and_a_copy_of_before(of_format_1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key source is asked once, the recovery code stays good, and the copy is what an older hublet opens."""
    before = contents(of_format_1)
    with monkeypatch.context() as patch:
        later(patch, add_notes)
        assert contents(of_format_1) == before
        assert contents(of_format_1) == before  # opened as what it is now
        header = peek(of_format_1 / "data")
        assert header is not None
        assert (header.format, header.rows["wrapped.format"]) == (2, b"1")
        with Store.recover(of_format_1 / "data", CODE) as store:
            store.load()
        assert [path.name for path in (of_format_1 / "data").glob("aside-*")] == ["aside-1"]
    with pytest.raises(StoreFormat, match="this hublet knows 1"):
        opened(of_format_1)
    for name in ("-wal", "-shm"):
        (of_format_1 / "data" / f"hublet.sqlite3{name}").unlink(missing_ok=True)
    (of_format_1 / "data" / "aside-1" / "hublet.sqlite3").replace(of_format_1 / "data" / "hublet.sqlite3")
    state, documents, timelines = contents(of_format_1)
    assert (state.records, documents, timelines) == (before[0].records, *before[1:])


def test_an_upgrade_that_fails_changes_nothing(of_format_1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the older hublet goes on with what there was."""
    before = contents(of_format_1)
    with monkeypatch.context() as patch:
        later(patch, fail)
        for _ in range(2):
            with pytest.raises(StoreError, match="can't be brought to this hublet's format"):
                opened(of_format_1)
    assert contents(of_format_1) == before


def test_a_store_without_a_way_to_this_format_is_refused(of_format_1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later(monkeypatch, None)
    with pytest.raises(StoreFormat, match="unknown format 1"):
        opened(of_format_1)


def test_an_upgraded_store_can_not_be_passed_off_as_an_older_one(
    of_format_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its manifest names the format. Otherwise what a step has changed would be read by the wrong rules."""
    with monkeypatch.context() as patch:
        later(patch, add_notes)
        opened(of_format_1).close()
    with closing(sqlite3.connect(of_format_1 / "data" / "hublet.sqlite3", isolation_level=None)) as connection:
        connection.execute("UPDATE header SET value = ? WHERE name = 'format'", (b"1",))
        connection.execute("DROP TABLE notes")
    with pytest.raises(StoreCorrupt, match="authentication tag"):
        opened(of_format_1)


def test_a_damaged_store_is_not_upgraded(of_format_1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step's new manifest would vouch for what is missing."""
    with closing(sqlite3.connect(of_format_1 / "data" / "hublet.sqlite3", isolation_level=None)) as connection:
        connection.execute("DELETE FROM records WHERE kind = 'secret'")
    later(monkeypatch, add_notes)
    with pytest.raises(StoreCorrupt, match="removed, added or renamed"):
        opened(of_format_1)
    header = peek(of_format_1 / "data")
    assert header is not None
    assert header.format == 1
