"""The count of commits beside the key: an older store that is put back is noticed, and nothing else ever is."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.envelope import Envelope, Key
from hublet.core.errors import KeySourceError
from hublet.core.ledger import Ledger, Lock
from hublet.keys import counts
from hublet.keys.file import FileSource
from hublet.store.archive import Archive
from hublet.store.counting import Counter
from hublet.store.reset import reset
from hublet.store.sealed import Row, Store, Write

STORE = bytes(range(16))
code = Key(bytes(range(50, 82)))


def renamed(row: Row, envelope: Envelope) -> bytes:
    return envelope.identify(row.plaintext)


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    return FileSource(tmp_path / "key" / "kek")


@pytest.fixture
def data(tmp_path: Path, source: FileSource) -> Path:
    """A closed store of three commits."""
    write(tmp_path / "data", source, 3)
    return tmp_path / "data"


def write(data: Path, source: FileSource, times: int) -> None:
    with Store.open(data, source) as store:
        for number in range(times):
            store.commit([Write("a", bytes([number]) * 32, bytes([number]))])


def restored(data: Path, source: FileSource) -> bool:
    with Store.open(data, source, clock=lambda: 5.0) as store:
        assert store.restored_at in (None, 5.0)
        return store.restored_at is not None


def counted(data: Path, source: FileSource) -> int | None:
    with Store.open(data, source) as store:
        return source.generation(store.header.store)


def put_back(data: Path, copy: Path) -> None:
    shutil.rmtree(data)
    shutil.copytree(copy, data)


def copied(data: Path) -> Path:
    return Path(shutil.copytree(data, data.with_name(f"copy-{len(list(data.parent.iterdir()))}")))


def test_every_commit_is_counted_and_the_newest_store_is_no_older_one(data: Path, source: FileSource) -> None:
    assert counted(data, source) == 3
    assert not restored(data, source)
    write(data, source, 1)
    assert counted(data, source) == 4


def test_an_older_copy_is_noticed_and_so_is_every_other_one_after_it_was_written_to(
    data: Path, source: FileSource
) -> None:
    """The next commit's number is larger than the count, not only larger than the copy's, so that copies from between
    are older ones too."""
    old = copied(data)
    write(data, source, 1)
    between = copied(data)
    write(data, source, 5)
    newest = copied(data)
    put_back(data, old)
    for _ in range(2):  # looking changes nothing
        assert restored(data, source)
    write(data, source, 1)
    assert counted(data, source) == 10
    assert not restored(data, source)  # the count alone no longer tells; the lock does that the Archive writes
    for copy in (old, between, newest):
        put_back(data, copy)
        assert restored(data, source)


def test_a_crash_between_commit_and_count_is_no_alarm(data: Path, source: FileSource) -> None:
    """The store is ahead of its count by one; and the count catches up with the next commit."""
    count = source.path.with_name("kek.count").read_bytes()
    write(data, source, 1)
    source.path.with_name("kek.count").write_bytes(count)
    assert not restored(data, source)
    write(data, source, 1)
    assert counted(data, source) == 5


def test_counting_begins_where_nothing_was_counted(
    data: Path, source: FileSource, caplog: pytest.LogCaptureFixture
) -> None:
    """A store from before there was a count, or a count that was lost, is no alarm; the log says that counting
    begins."""
    source.path.with_name("kek.count").unlink()
    assert not restored(data, source)
    assert counted(data, source) is None
    with caplog.at_level(logging.INFO):
        write(data, source, 1)
    assert counted(data, source) == 4
    assert caplog.messages == ["the cache's commits are counted from now on, beside its key"]


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"no count", b"00" * 16 + b" -1\n", b"00" * 16 + b" x\n"])
def test_what_is_no_count_is_none(data: Path, source: FileSource, content: bytes) -> None:
    """A damaged count must not keep the only copy shut. Whoever can damage it could also have removed it."""
    source.path.with_name("kek.count").write_bytes(content)
    assert not restored(data, source)
    write(data, source, 1)
    assert counted(data, source) == 4


def test_a_count_that_others_may_have_written_is_told_and_does_not_count(data: Path, source: FileSource) -> None:
    """Such a count does not keep the store shut either."""
    old = copied(data)
    write(data, source, 1)
    put_back(data, old)
    source.path.with_name("kek.count").chmod(0o666)
    with Store.open(data, source) as store:
        assert store.restored_at is None
        assert "can be used by others" in store.counter.problem


def test_a_new_key_a_reset_and_a_recovery_are_no_alarm(data: Path, source: FileSource) -> None:
    """The count goes on over a rotation and a move; a new store has an identity of its own, and the one that lay
    aside is as new as when it was put there."""
    source.stage(code)
    with Store.open(data, source) as store:
        store.rekey(source, code, renamed, 5.0)
        source.promote()
    assert not restored(data, source)
    elsewhere = FileSource(data.parent / "elsewhere" / "kek")
    with Store.open(data, source) as store:
        elsewhere.create(Key(bytes(32)))
        store.rekey(elsewhere, Key(bytes(32)), renamed, 5.0)
        source.discard()
    assert not source.path.with_name("kek.count").exists()
    assert not restored(data, elsewhere)
    assert counted(data, elsewhere) == 5
    aside = reset(data)
    write(data, elsewhere, 1)
    assert not restored(data, elsewhere)
    put_back(data, Path(shutil.copytree(aside, data.with_name("again"))))
    assert not restored(data, elsewhere)
    with Store.open(data, elsewhere) as store:
        store.escrow(code, 5.0)
    elsewhere.path.unlink()
    with Store.recover(data, code) as store:
        elsewhere.create(code)
        store.rekey(elsewhere, code, renamed, 5.0)
    assert not restored(data, elsewhere)


# The Archive, which locks an older store


def ledger(data: Path, source: FileSource) -> Ledger:
    archive = Archive(Store.open(data, source, clock=lambda: 5.0))
    try:
        return archive.load().state.ledger
    finally:
        archive.close()


def older(data: Path, source: FileSource) -> Path:
    """An older copy in the place of a newer store, opened as an Archive."""
    archive = Archive(Store.open(data, source))
    archive.keep("tokens", [1])
    archive.close()
    old = copied(data)
    archive = Archive(Store.open(data, source))
    archive.keep("tokens", None)
    archive.close()
    put_back(data, old)
    return old


def keep(archive: Archive, source: FileSource) -> None:
    archive.keep("account", {"key": "x"})


def save(archive: Archive, source: FileSource) -> None:
    archive.save((), archive.load().state.ledger)


def rekey(archive: Archive, source: FileSource) -> None:
    source.stage(code)
    archive.rekey(source, code, 6.0)
    source.promote()


@pytest.mark.parametrize("written", [keep, save, rekey])
def test_the_lock_is_on_the_disk_before_anything_else_is(tmp_path: Path, source: FileSource, written: object) -> None:
    """Whatever is written first. After it the store looks like the newest, and only the lock tells."""
    data = tmp_path / "data"
    older(data, source)
    assert ledger(data, source).lock == Lock("restored", 5.0)
    archive = Archive(Store.open(data, source, clock=lambda: 5.0))
    assert callable(written)
    written(archive, source)
    archive.close()
    assert not restored(data, source)
    assert ledger(data, source).lock == Lock("restored", 5.0)


def test_an_accepted_one_stays_accepted(tmp_path: Path, source: FileSource) -> None:
    """Saved without the lock it is a store like any other. The old copy, put back once more, is locked again."""
    data = tmp_path / "data"
    old = older(data, source)
    archive = Archive(Store.open(data, source))
    archive.save((), Ledger())
    assert archive.load().state.ledger.lock is None
    archive.close()
    assert ledger(data, source).lock is None
    put_back(data, old)
    assert ledger(data, source).lock == Lock("restored", 5.0)


def test_a_recovery_of_an_older_copy_is_noticed_by_the_source_that_takes_the_key(
    tmp_path: Path, source: FileSource
) -> None:
    """The code opens it without asking the source; the count is still there although the key was lost."""
    data = tmp_path / "data"
    archive = Archive(Store.open(data, source))
    archive.escrow(code, 5.0)
    archive.close()
    older(data, source)
    source.path.unlink()
    archive = Archive(Store.recover(data, code))
    source.create(code)
    archive.rekey(source, code, 5.0)
    archive.close()
    assert ledger(data, source).lock == Lock("restored", 5.0)


# The counter by itself


class Slow:
    """A source that wants a pause between two counts."""

    counting = 60.0

    def __init__(self) -> None:
        self.counted: list[int] = []
        self.broken = False

    def generation(self, store: bytes) -> int | None:
        if self.broken:
            raise KeySourceError("locked")
        return self.counted[-1] if self.counted else None

    def count(self, store: bytes, generation: int) -> None:
        if self.broken:
            raise KeySourceError("locked")
        self.counted.append(generation)


def test_a_slow_source_is_told_at_most_once_a_pause_and_at_the_end() -> None:
    now = [0.0]
    source = Slow()
    counter = Counter(source, STORE, monotonic=lambda: now[0])
    assert counter.read() == 0
    for second in range(150):
        now[0] = float(second)
        counter.reached(second + 1)
        counter.write()
    assert source.counted == [61, 121]
    counter.finish()
    counter.finish()
    assert source.counted == [61, 121, 150]


def test_a_source_that_fails_is_told_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    source = Slow()
    source.broken = True
    counter = Counter(source, STORE, monotonic=lambda: now[0])
    assert counter.read() == 0
    counter.reached(1)
    for _ in range(3):
        now[0] += 60.0
        counter.write()
    assert counter.problem == "locked"
    assert len(caplog.messages) == 1
    source.broken = False
    assert not counter.due
    now[0] += 60.0
    counter.write()
    assert (source.counted, counter.problem) == ([1], "")


def test_a_source_that_can_not_count_is_left_alone() -> None:
    counter = Counter(object(), STORE)
    counter.reached(5)
    counter.write()
    counter.finish()
    assert (counter.possible, counter.due, counter.read()) == (False, False, 0)


@given(st.lists(st.tuples(st.binary(min_size=16, max_size=16), st.integers(0, 2**63))))
def test_counts_are_read_as_they_were_written(told: list[tuple[bytes, int]]) -> None:
    """The last of each store, of the 32 that were counted last; and any text is read."""
    text, expected = "", {}
    for store, generation in told:
        text = counts.having(counts.read(text), store, generation)
        expected.pop(store, None)
        expected[store] = generation
    assert counts.read(text) == dict(list(expected.items())[-32:])
    assert len(text) <= counts.size_limit


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    counts.read(text)
