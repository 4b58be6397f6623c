"""The sealed store when something is wrong: each fault is detected, named, and makes nothing worse."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hublet.core.envelope import Key
from hublet.core.errors import HubletError, KeySourceError, StoreCorrupt, StoreError, StoreFormat
from hublet.keys.file import FileSource
from hublet.store.sealed import Corrupt, Row, Store, Write


@dataclass
class HeldKey:
    """A key source in memory."""

    key: Key | None
    name: str = "file"
    parameters: dict[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        return "the test's hand"

    def load(self) -> Key | None:
        return self.key

    def create(self, kek: Key) -> None:
        self.key = kek


right = HeldKey(Key(bytes(range(32))))
records = {bytes([n]) * 32: bytes([n]) * 300 for n in range(1, 6)}
one, two = bytes([1]) * 32, bytes([2]) * 32


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A closed store with five records, the same bytes every time."""
    with Store.open(tmp_path / "data", right, randomness=random.Random(5).randbytes) as store:
        store.commit([Write("assistant", id, body) for id, body in records.items()])
    return tmp_path / "data"


def execute(data: Path, *statements: tuple[str, tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Changes the file as somebody without the key would."""
    with closing(sqlite3.connect(data / "hublet.sqlite3", isolation_level=None)) as connection:
        rows: list[tuple[object, ...]] = []
        for statement, parameters in statements:
            rows = connection.execute(statement, parameters).fetchall()
        return rows


def sealed(data: Path, id: bytes) -> bytes:
    ((value,),) = execute(data, ("SELECT sealed FROM records WHERE id = ?", (id,)))
    assert isinstance(value, bytes)
    return value


def put(data: Path, id: bytes, value: bytes) -> None:
    execute(data, ("UPDATE records SET sealed = ? WHERE id = ?", (value, id)))


def flipped(value: bytes, at: int) -> bytes:
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


def load(data: Path, source: HeldKey = right) -> dict[bytes, bytes | None]:
    """What a new process reads; None for a corrupt record."""
    with Store.open(data, source) as store:
        return {row.id: row.plaintext if isinstance(row, Row) else None for row in store.load()}


@pytest.mark.parametrize("at", [0, 1, 5, 32, 33, 150, -16, -1])
def test_one_damaged_record_is_one_unknown_answer(data: Path, at: int) -> None:
    """Wherever it was hit (version, salt, body, tag): the others are served, and a new write heals it."""
    value = sealed(data, one)
    put(data, one, flipped(value, at % len(value)))
    assert load(data) == records | {one: None}
    with Store.open(data, right) as store:
        store.commit([Write("assistant", two, b"other work goes on")])
    assert load(data) == records | {one: None, two: b"other work goes on"}
    with Store.open(data, right) as store:
        store.commit([Write("assistant", one, b"new")])
    assert load(data) == records | {one: b"new", two: b"other work goes on"}


def test_a_damaged_record_can_be_deleted(data: Path) -> None:
    """Afterwards it is missing, and the manifest agrees."""
    put(data, one, b"")
    with Store.open(data, right) as store:
        assert Corrupt(one, "assistant") in list(store.load())
        store.commit([], [one])
    assert load(data) == {id: body for id, body in records.items() if id != one}


def test_a_changed_kind_is_a_damaged_record(data: Path) -> None:
    """The kind is bound to the record: an assistant can't be passed off as a secret."""
    execute(data, ("UPDATE records SET kind = 'secret' WHERE id = ?", (one,)))
    assert load(data) == records | {one: None}


def test_a_deleted_record_is_detected(data: Path) -> None:
    """Although the remaining records are all genuine."""
    execute(data, ("DELETE FROM records WHERE id = ?", (one,)))
    with pytest.raises(StoreCorrupt, match="removed, added or renamed"):
        load(data)


def test_an_added_or_renamed_record_is_detected(data: Path) -> None:
    """A copy under another id, or a record that was moved there."""
    copy = data.with_name("copy")
    shutil.copytree(data, copy)
    execute(data, ("INSERT INTO records VALUES (?, 'assistant', ?)", (bytes(32), sealed(data, one))))
    execute(copy, ("UPDATE records SET id = ? WHERE id = ?", (bytes(32), one)))
    for changed in (data, copy):
        with pytest.raises(StoreCorrupt, match="removed, added or renamed"):
            load(changed)


def test_swapped_records_are_detected(data: Path) -> None:
    """Each is genuine, under the other's id."""
    first, second = sealed(data, one), sealed(data, two)
    put(data, one, second)
    put(data, two, first)
    with pytest.raises(StoreCorrupt, match="swapped"):
        load(data)


def test_an_older_version_of_a_record_is_detected(data: Path) -> None:
    """It was sealed here, for this id; but it is not the one that was written last."""
    old = sealed(data, one)
    with Store.open(data, right) as store:
        store.commit([Write("assistant", one, b"newer")])
    put(data, one, old)
    with pytest.raises(StoreCorrupt, match="older version of a record"):
        load(data)


def test_an_older_manifest_is_detected(data: Path) -> None:
    """It does not fit the present records."""
    read = ("SELECT value FROM header WHERE name = 'manifest'", ())
    ((old,),) = execute(data, read)
    with Store.open(data, right) as store:
        store.commit([Write("assistant", one, b"newer")])
    execute(data, ("UPDATE header SET value = ? WHERE name = 'manifest'", (old,)))
    with pytest.raises(StoreCorrupt):
        load(data)


def test_nothing_is_written_over_a_file_that_was_changed_meanwhile(data: Path) -> None:
    """The commit's manifest would have vouched for it; afterwards the store goes on from what is really there."""
    with Store.open(data, right) as store:
        list(store.load())
        store.commit([Write("assistant", one, b"newer")])
        execute(data, ("UPDATE header SET value = ? WHERE name = 'manifest'", (b"x" * 100,)))
        for _ in range(2):
            with pytest.raises(StoreError):
                store.commit([Write("assistant", two, b"newest")])
        assert store.generation == 2


def wrong_key(data: Path) -> HeldKey:
    return HeldKey(Key(bytes(32)))


def no_key(data: Path) -> HeldKey:
    return HeldKey(None)


def other_source(data: Path) -> HeldKey:
    return HeldKey(right.key, name="passphrase")


def other_parameters(data: Path) -> HeldKey:
    return HeldKey(right.key, parameters={"n": "14"})


def header_row(name: str, value: object) -> Callable[[Path], HeldKey]:
    def change(data: Path) -> HeldKey:
        execute(data, ("INSERT OR REPLACE INTO header VALUES (?, ?)", (name, value)))
        return right

    return change


def schema(statement: str) -> Callable[[Path], HeldKey]:
    def change(data: Path) -> HeldKey:
        execute(data, (statement, ()))
        return right

    return change


def contents(value: bytes) -> Callable[[Path], HeldKey]:
    def change(data: Path) -> HeldKey:
        (data / "hublet.sqlite3").write_bytes(value)
        return right

    return change


def linked(data: Path) -> HeldKey:
    (data / "hublet.sqlite3").rename(data / "elsewhere")
    (data / "hublet.sqlite3").symlink_to(data / "elsewhere")
    return right


shut: list[tuple[Callable[[Path], HeldKey], type[HubletError], str]] = [
    (wrong_key, KeySourceError, "is not this cache's"),
    (no_key, KeySourceError, "its key is not"),
    (other_source, KeySourceError, "sealed with the key source file"),
    (other_parameters, KeySourceError, "set up differently"),
    (header_row("store", bytes(16)), KeySourceError, "is not this cache's"),
    (header_row("store", b"short"), StoreCorrupt, "not complete"),
    (header_row("note", b"an added row"), StoreCorrupt, "header or its wrapped key was changed"),
    (header_row("wrapped_dek", b"\2" + bytes(80)), StoreFormat, "version"),
    (header_row("wrapped_dek", bytes(81)), StoreError, "was forgotten"),
    (header_row("wrapped_dek", b"\1" + bytes(80)), StoreCorrupt, "header or its wrapped key was changed"),
    (header_row("manifest", b"\1" + bytes(90)), StoreCorrupt, "authentication tag"),
    (header_row("source.n", b"14"), KeySourceError, "set up differently"),
    (header_row("format", b"2"), StoreFormat, "of format 2, this hublet knows 1"),
    (header_row("format", b"0"), StoreFormat, "unknown format 0"),
    (header_row("format", b"one"), StoreCorrupt, "does not say its format"),
    (header_row("format", "1"), StoreCorrupt, "values that can't be"),
    (schema("CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM records; END"), StoreCorrupt, "tables are not"),
    (schema("CREATE TABLE more (x)"), StoreCorrupt, "tables are not"),
    (schema("PRAGMA application_id = 7"), StoreFormat, "not a cache of hublet"),
    (schema("DROP TABLE header"), StoreFormat, "not a cache of hublet"),
    (schema("DELETE FROM header"), StoreCorrupt, "does not say its format"),
    (contents(b""), StoreFormat, "not a cache of hublet"),
    (contents(b"a diary, not a database\n" * 500), StoreFormat, "not a database"),
    (linked, StoreFormat, "symbolic link"),
]


@pytest.mark.parametrize(("fault", "error", "says"), shut)
def test_a_store_that_cannot_be_opened_is_left_as_it_was(
    data: Path, fault: Callable[[Path], HeldKey], error: type[HubletError], says: str
) -> None:
    """Each has its own error and sentence, and a hint except for the innermost ones. Not a byte changes; the lock is
    released."""
    source = fault(data)
    path = data / "hublet.sqlite3"
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(error, match=says) as caught:
            Store.open(data, source)
        assert type(caught.value) is error
    assert path.read_bytes() == before


def test_a_wal_of_a_crash_is_left_too_when_the_key_is_wrong(tmp_path: Path) -> None:
    """Closing a writable connection would move it into the database; the right key then finds all that there was."""
    data = killed_after(tmp_path, commits=6)
    wal = data / "hublet.sqlite3-wal"
    before = ((data / "hublet.sqlite3").read_bytes(), wal.read_bytes())
    assert before[1]
    with pytest.raises(KeySourceError):
        Store.open(data, HeldKey(Key(bytes(32))))
    with Store.open(data, FileSource(tmp_path / "key" / "kek")) as store:
        assert len(list(store.load())) == 6
    assert ((data / "hublet.sqlite3").read_bytes(), wal.read_bytes()) == before


writer = """
import os, sys
from pathlib import Path
from hublet.keys.file import FileSource
from hublet.store.sealed import Store, Write
root = Path(sys.argv[1])
store = Store.open(root / "data", FileSource(root / "key" / "kek"))
print("open", flush=True)
for number in range(int(sys.argv[2])):
    body = number.to_bytes(4, "big") * 5000
    writes = [Write("a", b"%032d" % number, body)]
    # Every other commit replaces something too: then the WAL is moved into the database and cut.
    store.commit(writes if number % 2 else [*writes, Write("a", b"%032d" % 0, body)])
    print(number, flush=True)
os.kill(os.getpid(), 9)
"""


def killed_after(root: Path, commits: int) -> Path:
    subprocess.run([sys.executable, "-c", writer, root, str(commits)], stdout=subprocess.DEVNULL, check=False)
    return root / "data"


def test_a_process_killed_in_the_middle_of_commits_leaves_a_whole_store(tmp_path: Path) -> None:
    """Eight times, at moments drawn from a fixed seed: every commit that was reported is there, and none is there in
    part."""
    chance = random.Random(11)
    for attempt in range(8):
        root = tmp_path / str(attempt)
        with subprocess.Popen([sys.executable, "-c", writer, root, "100000"], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(chance.randrange(1, 12)):
                process.stdout.readline()
            # Killed while it goes on to the next commit, at a moment that it does not choose.
            process.kill()
            said = process.stdout.read().split()
        with Store.open(root / "data", FileSource(root / "key" / "kek")) as store:
            rows = {row.id: row.plaintext for row in store.load() if isinstance(row, Row)}
            reached = store.generation
            assert len(rows) == max(1, reached) if reached else rows == {}
            if reached:
                assert rows[b"%032d" % 0] == ((reached - 1) & ~1).to_bytes(4, "big") * 5000
            numbers = [int(word) for word in said if word.isdigit()]
            assert reached >= max(numbers, default=-1) + 1
            store.commit([Write("a", b"%032d" % 999999, b"it goes on")])


@pytest.mark.parametrize("leftover", ["hublet.sqlite3.new", "hublet.sqlite3-wal", "hublet.sqlite3.new-journal"])
def test_leftovers_of_a_first_start_that_was_cut_short_do_not_matter(tmp_path: Path, leftover: str) -> None:
    """A half-made store, or a WAL without its database, never becomes part of the new one."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    (folder / leftover).write_bytes(b"rubbish" * 100)
    with Store.open(folder, HeldKey(None)) as store:
        assert list(store.load()) == []
        store.commit([Write("a", one, b"one")])
    assert not (folder / "hublet.sqlite3.new").exists()


def test_a_flipped_byte_anywhere_is_detected_or_changes_no_answer(data: Path, tmp_path: Path) -> None:
    """Sampled over the whole file, every byte of the first header and a bit of each: a wrong answer never comes out."""
    good = (data / "hublet.sqlite3").read_bytes()
    chance = random.Random(3)
    interesting = [at for at in range(len(good)) if good[at]]
    places = [*range(100), *chance.sample(interesting, 300), *(chance.randrange(len(good)) for _ in range(100))]
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    outcomes = {"same": 0, "one unknown": 0, "refused": 0}
    for at in places:
        bad = bytearray(good)
        bad[at] ^= 1 << chance.randrange(8)
        (copy / "hublet.sqlite3").write_bytes(bad)
        for companion in ("-wal", "-shm"):
            (copy / f"hublet.sqlite3{companion}").unlink(missing_ok=True)
        try:
            answers = load(copy)
        except (StoreError, KeySourceError):
            outcomes["refused"] += 1
            continue
        assert answers.keys() == records.keys(), at
        wrong = [id for id, body in answers.items() if body is not None and body != records[id]]
        assert not wrong, at
        outcomes["one unknown" if None in answers.values() else "same"] += 1
    assert all(outcomes.values()), outcomes


def test_a_truncated_file_is_refused(data: Path) -> None:
    """At any length but its own. A single byte that is lost at the end costs only the last record."""
    good = (data / "hublet.sqlite3").read_bytes()
    for length in (1, 99, 100, 4096, 16384, 20000, len(good) - 16384):
        (data / "hublet.sqlite3").write_bytes(good[:length])
        with pytest.raises(StoreError):
            load(data)
    (data / "hublet.sqlite3").write_bytes(good[:-1])
    assert load(data) == records | {one: None}


def test_a_failed_commit_leaves_what_was_there_and_the_next_one_works(data: Path) -> None:
    """Another program holds the file: one sentence; when it lets go, the same commit succeeds."""
    with Store.open(data, right) as store, closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program is using the file"):
            store.commit([Write("assistant", one, b"newer")])
        other.execute("ROLLBACK")
        assert {row.id: row.plaintext for row in store.load() if isinstance(row, Row)} == records
        store.commit([Write("assistant", one, b"newer")])
    assert load(data) == records | {one: b"newer"}


def test_a_full_disk_is_a_sentence_and_nothing_is_lost(data: Path) -> None:
    """The database may not grow: the commit fails whole, and works again once there is room."""
    with Store.open(data, right) as store:
        store.commit([Write("assistant", one, b"newer")])
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="the disk is full"):
            store.commit([Write("assistant", two, bytes(500_000))])
        assert store.generation == 2
        store._connection.execute(f"PRAGMA max_page_count = {pages * 100}")
        store.commit([Write("assistant", two, bytes(500_000))])
    assert load(data) == records | {one: b"newer", two: bytes(500_000)}
