"""The sealed store when all is well: what is committed is loaded, private, padded, counted and gone when deleted."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hublet.core.errors import KeySourceError, StoreError, StoreLocked
from hublet.keys.file import FileSource
from hublet.store.lock import Lock, lock_name, make_private
from hublet.store.reset import reset
from hublet.store.sealed import Corrupt, Row, Store, Write


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    return FileSource(tmp_path / "key" / "kek")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "share" / "hublet"


@pytest.fixture
def store(data: Path, source: FileSource) -> Iterator[Store]:
    with Store.open(data, source) as opened:
        yield opened


def contents(store: Store) -> dict[bytes, tuple[str, bytes]]:
    rows = {}
    for row in store.load():
        assert isinstance(row, Row)
        rows[row.id] = (row.kind, row.plaintext)
    return rows


def name(number: int) -> bytes:
    return random.Random(number).randbytes(32)


def live_bytes(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(data.iterdir()))


def test_a_new_store_is_empty_and_stays_the_same_store(data: Path, source: FileSource) -> None:
    """The second open finds what the first one made: same names, same generation."""
    with Store.open(data, source) as first:
        assert contents(first) == {}
        assert first.generation == 0
        named = first.envelope.identify(b"a question")
    with Store.open(data, source) as second:
        assert second.envelope.identify(b"a question") == named
        assert contents(second) == {}


def test_what_was_committed_is_loaded_by_the_next_process(data: Path, source: FileSource) -> None:
    """Written, replaced and deleted records, in one commit or several."""
    with Store.open(data, source) as store:
        store.commit([Write("assistant", name(1), b"one"), Write("secret", name(2), b"two"), Write("x", name(3), b"")])
        store.commit([Write("policy", name(1), b"one again")], [name(3), name(9)])
        assert store.generation == 2
        assert contents(store) == {name(1): ("policy", b"one again"), name(2): ("secret", b"two")}
    with Store.open(data, source) as store:
        assert store.generation == 2
        assert contents(store) == {name(1): ("policy", b"one again"), name(2): ("secret", b"two")}


def test_a_commit_may_come_before_the_first_load(data: Path, source: FileSource) -> None:
    """It then verifies what is there by itself, so that its manifest never vouches for anything unseen."""
    with Store.open(data, source) as store:
        store.commit([Write("a", name(1), b"one")])
    with Store.open(data, source) as store:
        store.commit([Write("a", name(2), b"two")])
        assert set(contents(store)) == {name(1), name(2)}


def test_of_two_writes_of_one_id_the_last_one_stays_and_a_write_wins_over_a_delete(store: Store) -> None:
    """Deletes come first, writes after them in their order."""
    store.commit([Write("a", name(1), b"old")])
    store.commit([Write("a", name(1), b"first"), Write("a", name(1), b"last")], [name(1)])
    assert contents(store) == {name(1): ("a", b"last")}


def test_nothing_to_change_writes_nothing(store: Store) -> None:
    """No transaction, no generation."""
    store.commit([Write("a", name(1), b"one")])
    files = {path: path.stat().st_mtime_ns for path in store.path.parent.iterdir()}
    store.commit([], [])
    store.commit([], [name(7)])
    assert store.generation == 1
    assert files == {path: path.stat().st_mtime_ns for path in store.path.parent.iterdir()}


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 9), st.tuples(st.sampled_from(["a", "secret"]), st.binary(max_size=600))),
            st.sets(st.integers(0, 9)),
            st.booleans(),
        ),
        max_size=6,
    )
)
def test_any_sequence_of_commits_ends_in_the_same_as_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, commits: list[tuple[dict[int, tuple[str, bytes]], set[int], bool]]
) -> None:
    """The model is a dict; reopening at any point changes nothing."""
    folder = tmp_path_factory.mktemp("model")
    source = FileSource(folder / "key" / "kek")
    model: dict[bytes, tuple[str, bytes]] = {}
    store = Store.open(folder / "data", source)
    try:
        for writes, deletes, reopen in commits:
            store.commit([Write(kind, name(n), body) for n, (kind, body) in writes.items()], map(name, deletes))
            model = {id: value for id, value in model.items() if id not in set(map(name, deletes))}
            model |= {name(n): value for n, value in writes.items()}
            if reopen:
                store.close()
                store = Store.open(folder / "data", source)
            assert contents(store) == model
    finally:
        store.close()


def test_nothing_readable_is_on_disk_and_secrets_all_have_one_length(data: Path, source: FileSource) -> None:
    """Neither plaintext nor the kind's own length: a secret of 1 and one of 200 bytes look alike."""
    with Store.open(data, source) as store:
        store.commit([Write("secret", name(1), b"s"), Write("secret", name(2), b"canary-" * 28)])
        assert b"canary" not in live_bytes(data)
        assert source.path.read_bytes() not in live_bytes(data)
    with sqlite3.connect(data / "hublet.sqlite3") as connection:
        assert [row[0] for row in connection.execute("SELECT length(sealed) FROM records")] == [256 + 49] * 2
    connection.close()


def test_replaced_and_deleted_ciphertext_leaves_the_live_files(store: Store, data: Path) -> None:
    """Shown on the bytes of the database, the WAL and the rest."""
    store.commit([Write("secret", name(n), b"old") for n in range(30)] + [Write("a", name(99), os.urandom(40_000))])
    with sqlite3.connect(store.path) as connection:
        old = [row[0] for row in connection.execute("SELECT sealed FROM records")]
    connection.close()
    assert all(sealed[33:80] in live_bytes(data) for sealed in old)
    store.commit([Write("secret", name(n), b"new") for n in range(15)], [name(n) for n in (*range(15, 30), 99)])
    assert not store.scrub_due
    left = live_bytes(data)
    assert not any(sealed[at : at + 16] in left for sealed in old for at in range(33, len(sealed) - 16, 997))


def test_a_reader_keeps_old_ciphertext_in_and_the_scrub_is_tried_again(store: Store, data: Path) -> None:
    """scrub says False while a reader is open, remembers that it is due, and succeeds afterwards."""
    store.commit([Write("secret", name(1), b"old")])
    reader = sqlite3.connect(store.path, isolation_level=None)
    reader.execute("BEGIN")
    (old,) = reader.execute("SELECT sealed FROM records").fetchone()
    store.commit([Write("secret", name(1), b"new")])
    assert store.scrub_due
    assert not store.scrub()
    assert old in live_bytes(data)
    reader.execute("ROLLBACK")
    reader.close()
    assert store.scrub()
    assert not store.scrub_due
    assert old[33:] not in live_bytes(data)


def test_every_file_is_private_from_its_first_byte(tmp_path: Path) -> None:
    """With a umask of 0, in a process that ends without closing, so that WAL and shared memory are there to be seen."""
    code = (
        "import os, sys; from pathlib import Path; os.umask(0)\n"
        "from hublet.keys.file import FileSource; from hublet.store.sealed import Store, Write\n"
        "real = os.open\n"
        "def watched(path, flags, mode=0o777, **other):\n"
        "    made = flags & os.O_CREAT and not os.path.lexists(path)\n"
        "    assert not made or mode == 0o600, path\n"
        "    return real(path, flags, mode, **other)\n"
        "os.open = watched\n"
        "root = Path(sys.argv[1]); store = Store.open(root / 'deep' / 'data', FileSource(root / 'key' / 'kek'))\n"
        "store.commit([Write('a', bytes(31) + b'1', b'x' * 50_000)])\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode)
        for folder in (tmp_path / "deep", tmp_path / "key")
        for path in (folder, *folder.rglob("*"))
    }
    assert modes == {
        "deep": 0o700,
        "deep/data": 0o700,
        "deep/data/hublet.lock": 0o600,
        "deep/data/hublet.sqlite3": 0o600,
        "deep/data/hublet.sqlite3-wal": 0o600,
        "deep/data/hublet.sqlite3-shm": 0o600,
        "key": 0o700,
        "key/CACHEDIR.TAG": 0o600,
        "key/kek": 0o600,
        "key/kek.count": 0o600,
    }


def test_a_second_hublet_is_refused_and_told_who_has_the_store(store: Store, data: Path, source: FileSource) -> None:
    """StoreLocked names the process; once the first one closes, the next one gets in."""
    with pytest.raises(StoreLocked, match=f"process {os.getpid()}"):
        Store.open(data, source)
    with pytest.raises(StoreLocked):
        reset(data)
    store.close()
    store.close()
    Store.open(data, source).close()


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    """kill -9 leaves the file and its number behind, and nobody is kept out by them."""
    code = (
        "import sys, time; from pathlib import Path; from hublet.store.lock import Lock\n"
        "lock = Lock.take(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StoreLocked, match=f"process {holder.pid}"):
            Lock.take(tmp_path)
        holder.kill()
    assert (tmp_path / lock_name).exists()
    Lock.take(tmp_path).release()


def test_a_data_directory_that_others_can_write_in_is_refused(tmp_path: Path) -> None:
    """An empty one is made private; one with other things in it is left as it is, and not used."""
    ours, shared, read = tmp_path / "ours", tmp_path / "shared", tmp_path / "read"
    for folder, mode in ((ours, 0o777), (shared, 0o777), (read, 0o755)):
        folder.mkdir()
        folder.chmod(mode)
    (shared / "other.txt").write_text("")
    (read / "other.txt").write_text("")
    make_private(ours)
    make_private(read)
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (ours, read)] == [0o700, 0o755]
    with pytest.raises(StoreError, match="others may write"):
        make_private(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o777


def test_a_data_directory_of_another_owner_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns it could take the store away."""
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(StoreError, match="belongs to another user"):
        make_private(tmp_path)


def test_a_file_where_the_directory_should_be_is_a_sentence(tmp_path: Path, source: FileSource) -> None:
    """No traceback for a wrong cache.directory."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't be used"):
        Store.open(tmp_path / "file" / "data", source)


def test_reset_moves_everything_aside_and_the_next_open_starts_anew(data: Path, source: FileSource) -> None:
    """Nothing is deleted, and each reset has a folder of its own."""
    with Store.open(data, source) as store:
        store.commit([Write("a", name(1), b"one")])
    before = (data / "hublet.sqlite3").read_bytes()
    aside = reset(data)
    assert (aside / "hublet.sqlite3").read_bytes() == before
    assert stat.S_IMODE(aside.stat().st_mode) == 0o700
    with Store.open(data, source) as store:
        assert contents(store) == {}
    assert reset(data) != aside
    with pytest.raises(StoreError, match="no cache"):
        reset(data)
    with pytest.raises(StoreError, match="no cache"):
        reset(data / "nowhere")
    # What was moved aside opens like any store, with its key.
    with Store.open(aside, source) as store:
        assert contents(store) == {name(1): ("a", b"one")}


def test_the_key_is_kept_before_the_store_is_made(data: Path, tmp_path: Path) -> None:
    """When the key can't be kept there is no store that nobody could open."""
    (tmp_path / "file").write_text("")
    with pytest.raises(KeySourceError):
        Store.open(data, FileSource(tmp_path / "file" / "kek"))
    assert [path.name for path in data.iterdir()] == [lock_name]


def test_randomness_comes_from_outside(tmp_path: Path) -> None:
    """Two stores made with the same random bytes at the same time are the same: nothing else is random."""
    made = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        chance = random.Random(7)
        source = FileSource(folder / "key" / "kek")
        with Store.open(folder / "data", source, randomness=chance.randbytes, clock=lambda: 1e9) as store:
            store.commit([Write("a", name(1), b"one")])
            store.scrub()
        made.append((folder / "data" / "hublet.sqlite3").read_bytes()[100:])
    assert made[0] == made[1]


def test_two_hundred_records_of_twenty_kilobytes(data: Path, source: FileSource) -> None:
    """All there and right, one at a time let go of; the time is measured by the benchmarks."""
    bodies = {name(n): random.Random(n).randbytes(20_000) for n in range(200)}
    with Store.open(data, source) as store:
        store.commit([Write("assistant", id, body) for id, body in bodies.items()])
    with Store.open(data, source) as store:
        loaded = 0
        for row in store.load():
            assert isinstance(row, Row)
            assert bodies[row.id] == row.plaintext
            loaded += 1
        assert loaded == 200


def test_a_commit_takes_a_record_when_it_can_seal_it(tmp_path: Path) -> None:
    """One plaintext is in memory at a time, however many there are; what breaks off leaves what there was."""
    happened: list[str] = []

    def chance(size: int) -> bytes:
        happened.append("sealed")
        return os.urandom(size)

    def writes(number: int, then: Exception | None = None) -> Iterator[Write]:
        for n in range(number):
            happened.append("taken")
            yield Write("a", name(n), b"x")
        if then is not None:
            raise then

    with Store.open(tmp_path / "data", FileSource(tmp_path / "key" / "kek"), randomness=chance) as store:
        happened.clear()
        store.commit(writes(20))
        assert happened[:40] == ["taken", "sealed"] * 20
        before = contents(store)
        with pytest.raises(RuntimeError, match="no more"):
            store.commit(writes(5, RuntimeError("no more")))
        assert contents(store) == before
        happened.clear()
        store.commit(writes(0))
        assert happened == []


def test_values_do_not_print_what_they_hold(store: Store) -> None:
    """Rows and writes show kind and id only."""
    shown = (
        f"{Write('secret', name(1), b'canary')!r}{Row('secret', name(1), b'canary')!r}{Corrupt(name(1), 'secret')!r}"
    )
    assert "canary" not in shown
    assert "secret" in shown
    assert "Key" not in repr(store.envelope)
