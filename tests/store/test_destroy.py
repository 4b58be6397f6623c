"""Forgetting a store: the bytes of its key are gone before its files are, in whatever state it is, and after any
crash."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hublet.core.envelope import Key
from hublet.core.errors import HubletError, StoreError, StoreFormat
from hublet.core.secretstr import SecretStr
from hublet.keys.asking import Asker
from hublet.keys.file import FileSource
from hublet.keys.passphrase import Factors, PassphraseSource
from hublet.keys.source import KeySource
from hublet.store.destroy import databases, destroy_key, remove, wrapping_of
from hublet.store.reset import reset
from hublet.store.sealed import Store, Write
from hublet.store.unlocking import peek

code = Key(bytes(range(50, 82)))
WORDS = SecretStr("a passphrase of these tests")


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    return FileSource(tmp_path / "key" / "kek")


@pytest.fixture
def data(tmp_path: Path, source: FileSource) -> Path:
    fill(tmp_path / "data", source)
    return tmp_path / "data"


def fill(data: Path, source: KeySource) -> None:
    """A closed store with some records and a recovery code."""
    with Store.open(data, source) as store:
        for number in range(20):
            store.commit([Write("a", bytes([number]) * 32, bytes([number]) * 5000)])
        store.escrow(code, 5.0)


def live(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())


def key_bytes(data: Path) -> list[bytes]:
    """The bytes that open the store together with the key source or with the recovery code."""
    header = peek(data)
    assert header is not None
    names = ("wrapped_dek", "escrow", "source.key")
    return [header.rows[name] for name in names if name in header.rows]


def destroy(data: Path) -> None:
    for database in databases(data):
        destroy_key(database, wrapping_of(database))


def test_no_byte_of_the_key_is_in_a_live_file_and_what_is_left_says_so(data: Path, source: FileSource) -> None:
    """The wrapped key and the recovery code's copy of it; neither the key file nor the code opens anything."""
    gone = key_bytes(data)
    assert len(gone) == 2
    assert all(piece in live(data) for piece in gone)
    destroy(data)
    assert not [piece for piece in gone if piece in live(data)]
    for attempt in (lambda: Store.open(data, source), lambda: Store.recover(data, code)):
        with pytest.raises(StoreError, match="was forgotten: its key is destroyed") as caught:
            attempt()
        assert "hublet forget" in caught.value.hint
    wrapping = wrapping_of(data / "hublet.sqlite3")
    assert (wrapping.source, wrapping.secrets) == ("file", ())
    destroy(data)  # once more does nothing


def test_what_a_passphrase_opens_goes_too(tmp_path: Path) -> None:
    """Its wrapped key lies in the header itself, and the passphrase alone would open it."""
    data = tmp_path / "data"
    fill(data, PassphraseSource(Asker(given=WORDS), factors=Factors(n=2**4)))
    header = peek(data)
    assert header is not None
    gone = key_bytes(data)
    assert len(gone) == 3
    destroy(data)
    assert not [piece for piece in gone if piece in live(data)]
    with pytest.raises(StoreError, match="was forgotten"):
        Store.open(data, PassphraseSource(Asker(given=WORDS), header.parameters))


def test_stores_that_lie_aside_are_destroyed_and_removed_too(data: Path, source: FileSource) -> None:
    """They are sealed copies under the same key."""
    gone = key_bytes(data)
    aside = reset(data)
    fill(data, source)
    gone += key_bytes(data)
    assert databases(data) == [data / "hublet.sqlite3", aside / "hublet.sqlite3"]
    (data / "pointing.json").write_text("{}")
    (data / "audit.log").write_text("{}")
    destroy(data)
    assert not [piece for piece in gone if piece in live(data)]
    assert remove(data, [data / "audit.log", data / "audit.log.1"]) == []
    assert sorted(path.name for path in data.iterdir()) == ["hublet.lock", "pointing.json"]
    assert remove(data) == []


def test_somebody_else_s_file_in_a_folder_of_ours_is_left_and_named(data: Path, source: FileSource) -> None:
    aside = reset(data)
    (aside / "diary.txt").write_text("mine")
    destroy(data)
    assert remove(data) == [aside]
    assert [path.name for path in aside.iterdir()] == ["diary.txt"]


def test_a_reader_does_not_keep_the_key(data: Path) -> None:
    """SQLite leaves old pages where they are while one is open: then the bytes are overwritten where they stand."""
    gone = key_bytes(data)
    with closing(sqlite3.connect(data / "hublet.sqlite3", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM records").fetchone()
        destroy(data)
        assert not [piece for piece in gone if piece in live(data)]
    assert not [piece for piece in gone if piece in live(data)]


def test_a_writer_does_not_keep_the_key(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program holds the file for writing and lets nobody else: the bytes are overwritten all the same."""
    monkeypatch.setattr("hublet.store.schema.busy_seconds", 0.05)
    gone = key_bytes(data)
    with closing(sqlite3.connect(data / "hublet.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        destroy(data)
        assert not [piece for piece in gone if piece in live(data)]
        other.execute("ROLLBACK")


def test_a_key_of_before_in_a_database_whose_wal_was_not_moved_goes_too(data: Path, source: FileSource) -> None:
    """A rotation while a reader is open: the database still has the old wrapped key, the WAL the new one."""
    gone = key_bytes(data)
    source.stage(code)
    with closing(sqlite3.connect(data / "hublet.sqlite3", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM records").fetchone()
        store = Store.open(data, source)
        store.rekey(source, code, lambda row, envelope: envelope.identify(row.id), 5.0)
        gone += key_bytes(data)[:1]
        assert gone[0] in (data / "hublet.sqlite3").read_bytes()
        store.close()
        destroy(data)
        assert not [piece for piece in gone if piece in live(data)]


@pytest.mark.parametrize("damage", ["header", "everything", "empty", "short"])
def test_of_a_damaged_store_every_byte_is_overwritten(data: Path, damage: str) -> None:
    """When it can't be found out where the key lies, the whole files are overwritten."""
    gone = key_bytes(data)
    path = data / "hublet.sqlite3"
    content = path.read_bytes()
    path.write_bytes({
        "header": b"not a database" + content[14:],
        "everything": random.Random(4).randbytes(len(content)),
        "empty": b"",
        "short": content[:20000],
    }[damage])  # fmt: skip
    destroy(data)
    assert not [piece for piece in gone if piece in live(data)]
    if damage != "short":
        assert not any(path.read_bytes())
    remove(data)
    assert databases(data) == []


def test_a_link_in_the_store_s_place_is_not_followed(data: Path) -> None:
    """What it points to is not ours to overwrite."""
    path = data / "hublet.sqlite3"
    path.rename(data.parent / "precious")
    before = (data.parent / "precious").read_bytes()
    path.symlink_to(data.parent / "precious")
    with pytest.raises(StoreFormat, match="symbolic link"):
        destroy(data)
    assert (data.parent / "precious").read_bytes() == before


_READ_ONLY = """
import sys
from pathlib import Path
from hublet.core.errors import StoreError
from hublet.store.destroy import destroy_key, wrapping_of
database = Path(sys.argv[1])
try:
    destroy_key(database, wrapping_of(database))
except StoreError as error:
    print(type(error).__name__, error.message)
"""


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("unshare"), reason="mounting needs root and unshare")
def test_on_a_disk_that_is_read_only_it_says_so_and_changes_nothing(data: Path) -> None:
    before = live(data)
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(data)]
    words += [sys.executable, "-c", _READ_ONLY, str(data / "hublet.sqlite3")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("StoreError the cache's key can't be destroyed"), done.stdout
    assert live(data) == before


_WATCHED = frozenset({"open", "execute", "pwrite", "fsync", "unlink", "rmdir", "close", "mkdir", "replace"})


def killed(number: int, work: Callable[[], None]) -> bool:
    """Whether it was killed at the n-th call that touches a file, in a child."""
    child = os.fork()
    if child == 0:
        count = 0

        def profile(frame: object, event: str, arg: object) -> None:
            nonlocal count
            if event == "c_call" and getattr(arg, "__name__", "") in _WATCHED:
                count += 1
                if count == number:
                    os.kill(os.getpid(), 9)

        try:
            sys.setprofile(profile)
            work()
        except BaseException:  # noqa: BLE001
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, number
    return False


def test_killed_at_any_step_it_goes_on_and_never_opens_half(tmp_path: Path, data: Path, source: FileSource) -> None:
    """What is left is the whole store, or one that says that it was forgotten, or none. A second attempt removes it,
    with the key file."""
    gone, seen = key_bytes(data), set()
    number = 0
    while True:
        number += 1
        work = tmp_path / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(data, work / "data")
        shutil.copytree(source.path.parent, work / "key")
        here = FileSource(work / "key" / "kek")

        def forget(work: Path = work, here: FileSource = here) -> None:
            destroy(work / "data")
            here.discard()
            remove(work / "data")

        was_killed = killed(number, forget)
        if (work / "data" / "hublet.sqlite3").exists():
            try:
                Store.open(work / "data", here).close()
                seen.add("whole")
            except HubletError as error:
                seen.add("forgotten" if "was forgotten" in error.message else error.message)
        else:
            seen.add("gone")
            assert not here.path.exists()
        forget()
        assert databases(work / "data") == []
        assert not here.path.exists()
        assert not [piece for piece in gone if piece in live(work)]
        if not was_killed:
            break
    assert seen == {"whole", "forgotten", "gone"}
    assert number > 20
