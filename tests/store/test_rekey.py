"""Another key for a store: everything sealed anew at once, the old bytes gone, the recovery code, and each refusal."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hublet.core.envelope import Envelope, Key
from hublet.core.errors import HubletError, KeySourceError, StoreCorrupt, StoreError
from hublet.keys.file import FileSource
from hublet.store.archive import Archive
from hublet.store.sealed import Row, Store, Write
from hublet.store.unlocking import escrow_made_at, peek

names = [b"question %d" % number for number in range(6)]
new_kek = Key(bytes(range(100, 132)))
code = Key(bytes(range(50, 82)))


def renamed(row: Row, envelope: Envelope) -> bytes:
    """A record's plaintext begins with the name that it is filed under."""
    return envelope.identify(row.plaintext.partition(b":")[0])


def body(name: bytes) -> bytes:
    return name + b":" + hashlib.sha256(name).digest() * 400


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    return FileSource(tmp_path / "key" / "kek")


@pytest.fixture
def data(tmp_path: Path, source: FileSource) -> Path:
    """A closed store of six records, some large, one secret."""
    with Store.open(tmp_path / "data", source, clock=lambda: 1_700_000_000.0) as store:
        kinds = ["secret", *["assistant"] * 5]
        store.commit([Write(k, store.envelope.identify(n), body(n)) for k, n in zip(kinds, names, strict=True)])
    return tmp_path / "data"


def rotate(store: Store, source: FileSource, kek: Key = new_kek, now: float = 1_800_000_000.0) -> int:
    """What `hublet keys rotate` does."""
    source.stage(kek)
    lost = store.rekey(source, kek, renamed, now)
    source.promote()
    return lost


def bodies(data: Path, source: FileSource) -> list[bytes]:
    with Store.open(data, source) as store:
        return sorted(row.plaintext for row in store.load() if isinstance(row, Row))


def rows(data: Path) -> dict[bytes, bytes]:
    with closing(sqlite3.connect(data / "hublet.sqlite3")) as connection:
        return dict(connection.execute("SELECT id, sealed FROM records"))


def execute(data: Path, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(data / "hublet.sqlite3", isolation_level=None)) as connection:
        connection.execute(statement, parameters)


def files(data: Path) -> dict[str, bytes]:
    """The database and its WAL, if that is not empty: reading alone makes SQLite leave an empty WAL and an index of
    it."""
    found = {path.name: path.read_bytes() for path in data.iterdir() if not path.name.endswith(("lock", "-shm"))}
    return {name: content for name, content in found.items() if content}


def test_everything_is_there_afterwards_under_other_names(data: Path, source: FileSource) -> None:
    """Ids and icon names come from the data key, so all of them change; the store's UUID and its records do not."""
    before, header = rows(data), peek(data)
    assert header is not None
    with Store.open(data, source) as store:
        icon, generation = store.envelope.icon_name("https://example.com/i.png"), store.generation
        assert rotate(store, source) == 0
        assert store.envelope.icon_name("https://example.com/i.png") != icon
        assert store.generation == generation + 1
        store.commit([Write("assistant", store.envelope.identify(b"more"), b"more:")])
    after = peek(data)
    assert after is not None
    assert (header.since, after.since) == (1_700_000_000, 1_800_000_000)
    assert after.store == header.store
    assert not before.keys() & rows(data).keys()
    assert bodies(data, source) == sorted([*map(body, names), b"more:"])


def test_the_old_ciphertext_and_the_old_wrapped_key_leave_the_live_files(data: Path, source: FileSource) -> None:
    """Looked for in the bytes of every file, while the store is open and after it."""
    old, header, old_kek = rows(data), peek(data), source.load()
    assert header is not None
    assert old_kek is not None
    gone = [header.rows["wrapped_dek"], header.rows["check"], *old]
    for sealed in old.values():
        gone += [sealed[at : at + 32] for at in range(0, len(sealed) - 32, 1024)]
    with Store.open(data, source) as store:
        rotate(store, source)
        assert not store.scrub_due
        live = b"".join(files(data).values())
    live += b"".join(files(data).values())
    assert len(gone) > 60
    assert not [piece for piece in gone if piece in live]
    assert old_kek.reveal() not in b"".join(path.read_bytes() for path in source.path.parent.iterdir())


def test_a_reader_keeps_the_old_bytes_in_until_it_has_gone(data: Path, source: FileSource) -> None:
    """The rotation counts, the scrubbing is said to be due, and the next try does it."""
    old = next(iter(rows(data).values()))[100:164]
    with Store.open(data, source) as store:
        with closing(sqlite3.connect(data / "hublet.sqlite3", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM records").fetchone()
            rotate(store, source)
            assert store.scrub_due
            assert old in b"".join(files(data).values())
        assert store.scrub()
        assert old not in b"".join(files(data).values())


def test_an_old_backup_with_its_key_opens_itself_and_nothing_later(
    tmp_path: Path, data: Path, source: FileSource
) -> None:
    """Neither its key-encryption key nor its data key opens the store of today."""
    shutil.copytree(data, tmp_path / "backup")
    shutil.copytree(source.path.parent, tmp_path / "backup-key")
    backup = FileSource(tmp_path / "backup-key" / "kek")
    with Store.open(data, source) as store:
        rotate(store, source)
    assert bodies(tmp_path / "backup", backup) == sorted(map(body, names))
    with pytest.raises(KeySourceError, match="is not this cache's"):
        Store.open(data, backup)
    with Store.open(tmp_path / "backup", backup) as store:
        for id, sealed in rows(data).items():
            for kind in ("assistant", "secret"):
                with pytest.raises(StoreCorrupt):
                    store.envelope.open(kind, id, sealed)
    with pytest.raises(KeySourceError, match="is not this cache's"):
        Store.open(tmp_path / "backup", source)


def test_what_can_not_be_read_is_counted_and_left_behind(data: Path, source: FileSource) -> None:
    """A damaged record was an unknown answer before; the rest is sealed anew."""
    id = next(iter(rows(data)))
    execute(data, "UPDATE records SET sealed = substr(sealed, 1, 60) WHERE id = ?", id)
    with Store.open(data, source) as store:
        assert rotate(store, source) == 1
    assert len(bodies(data, source)) == 5


def test_documents_and_the_ledger_are_found_under_their_new_names(data: Path, source: FileSource) -> None:
    """The archive names them; afterwards it reads, replaces and removes them as before."""
    shutil.rmtree(data)
    archive = Archive(Store.open(data, source))
    archive.keep("account", {"key": "con_x"})
    archive.keep("tokens", [1])
    archive.save([], archive.load().state.ledger)
    source.stage(new_kek)
    assert archive.rekey(source, new_kek, 5.0) == 0
    source.promote()
    archive.keep("account", {"key": "con_y"})
    archive.keep("tokens", None)
    archive.close()
    archive = Archive(Store.open(data, source))
    assert archive.load().documents == {"account": {"key": "con_y"}}
    assert len(rows(data)) == 2
    archive.close()


def test_a_crash_s_leftovers_are_scrubbed_by_the_next_one(data: Path, source: FileSource) -> None:
    """A WAL that is there at opening may hold what was replaced: the store knows that it is due."""
    store = Store.open(data, source)
    store.commit([Write("assistant", store.envelope.identify(b"more"), b"more:")])
    copy = data.with_name("copy")
    shutil.copytree(data, copy)  # as a crash would leave it: nothing was closed
    store.close()
    with Store.open(copy, source) as store:
        assert store.scrub_due
        store.commit([Write("assistant", store.envelope.identify(b"much more"), b"much more:")])
        assert not store.scrub_due
    with Store.open(copy, source) as store:
        assert not store.scrub_due


# The recovery code


def test_a_recovery_code_opens_the_store_without_its_key(data: Path, source: FileSource) -> None:
    """And says when it was made; the key source goes on working beside it."""
    with Store.open(data, source) as store:
        store.escrow(code, 1_750_000_000.0)
        store.commit([Write("assistant", store.envelope.identify(b"later"), b"later:")])
    assert b"later:" in bodies(data, source)
    header = peek(data)
    assert header is not None
    assert escrow_made_at(header) == 1_750_000_000
    source.discard()
    with Store.recover(data, code) as store:
        assert sorted(row.plaintext for row in store.load() if isinstance(row, Row)) == sorted(
            [*map(body, names), b"later:"]
        )
        rotate(store, source)
    assert b"later:" in bodies(data, source)


def test_a_recovery_code_is_void_after_a_rotation_and_that_is_said(data: Path, source: FileSource) -> None:
    """It opens the copy from before, and only that one."""
    with Store.open(data, source) as store:
        store.escrow(code, 5.0)
    shutil.copytree(data, data.with_name("backup"))
    with Store.open(data, source) as store:
        rotate(store, source)
    header = peek(data)
    assert header is not None
    assert escrow_made_at(header) == 0
    with pytest.raises(KeySourceError, match="void") as caught:
        Store.recover(data, code)
    assert "copies of the cache from before" in caught.value.hint
    Store.recover(data.with_name("backup"), code).close()


def test_only_the_last_code_counts(data: Path, source: FileSource) -> None:
    """One that was made before it, and one of another store, are refused; without any that is said."""
    with pytest.raises(KeySourceError, match="no recovery code was made"):
        Store.recover(data, code)
    with Store.open(data, source) as store:
        store.escrow(code, 5.0)
        store.escrow(new_kek, 6.0)
    with pytest.raises(KeySourceError, match="does not open this cache") as caught:
        Store.recover(data, code)
    assert code.reveal().hex() not in repr(caught.value)
    Store.recover(data, new_kek).close()


def tamper_since(data: Path, source: FileSource) -> None:
    execute(data, "UPDATE header SET value = '1' WHERE name = 'since'")


def tamper_escrow(data: Path, source: FileSource) -> None:
    execute(data, "UPDATE header SET value = substr(value, 1, 60) WHERE name = 'escrow'")


def other_key(data: Path, source: FileSource) -> None:
    source.discard()
    source.create(new_kek)


def staged_other_key(data: Path, source: FileSource) -> None:
    source.discard()
    source.stage(new_kek)


def no_key(data: Path, source: FileSource) -> None:
    source.discard()


def wide_key(data: Path, source: FileSource) -> None:
    source.path.chmod(0o644)


@pytest.mark.parametrize("fault", [tamper_since, other_key, staged_other_key, no_key, wide_key])
def test_a_store_that_does_not_open_is_left_as_it_is(
    data: Path, source: FileSource, fault: Callable[[Path, FileSource], None]
) -> None:
    """Byte by byte, and so is the key's folder."""
    fault(data, source)
    before = (files(data), {path: path.read_bytes() for path in source.path.parent.iterdir()})
    with pytest.raises(HubletError) as caught:
        Store.open(data, source)
    assert caught.value.hint
    assert (files(data), {path: path.read_bytes() for path in source.path.parent.iterdir()}) == before


@pytest.mark.parametrize("fault", [tamper_since, tamper_escrow])
def test_a_changed_header_does_not_recover(
    data: Path, source: FileSource, fault: Callable[[Path, FileSource], None]
) -> None:
    """The code's copy of the data key is bound to the header too; the file is left as it is."""
    with Store.open(data, source) as store:
        store.escrow(code, 5.0)
    fault(data, source)
    before = files(data)
    with pytest.raises((KeySourceError, StoreCorrupt)):
        Store.recover(data, code)
    assert files(data) == before


def test_a_key_that_was_staged_when_the_crash_came_opens_and_takes_its_place(data: Path, source: FileSource) -> None:
    """Between the commit and the promotion the old key is still there, and of no use."""
    with Store.open(data, source) as store:
        source.stage(new_kek)
        store.rekey(source, new_kek, renamed, 5.0)
    assert source.load() != new_kek
    assert bodies(data, source) == sorted(map(body, names))
    assert (source.load(), source.staged()) == (new_kek, None)


def test_a_transaction_that_fails_leaves_the_store_as_it_was(data: Path, source: FileSource) -> None:
    """Somebody else is writing: nothing changed, the old key opens it, and the next try goes through."""
    with Store.open(data, source) as store:
        store.commit([Write("assistant", store.envelope.identify(b"more"), b"more:")])
        before, envelope = rows(data), store.envelope
        with closing(sqlite3.connect(data / "hublet.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="another program is using the file"):
                rotate(store, source)
            other.execute("ROLLBACK")
        assert store.envelope is envelope
        assert rows(data) == before
        rotate(store, source)
    assert len(bodies(data, source)) == 7
