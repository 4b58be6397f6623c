"""The key source `file`: private, durable, and strict about what it finds."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from key_source_contract import KeySourceContract, kek

from hublet.core.errors import KeySourceError
from hublet.keys import source_of
from hublet.keys.file import FileSource, exclude_from_time_machine, tag_name
from hublet.keys.source import KeySource


class TestFileSource(KeySourceContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> KeySource:
        return FileSource(tmp_path / "state" / "hublet-key" / "kek")

    def again(self, source: KeySource) -> KeySource:
        assert isinstance(source, FileSource)
        return FileSource(source.path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A key file as hublet makes it."""
    made = tmp_path / "key" / "kek"
    FileSource(made).create(kek)
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", ["0o000", "0o077", "0o777"])
def test_everything_is_private_whatever_the_umask(tmp_path: Path, umask: str) -> None:
    """File 0600, the directories that were made 0700."""
    code = (
        "import os, sys; from pathlib import Path;"
        "from hublet.core.envelope import Key; from hublet.keys.file import FileSource;"
        f"os.umask({umask}); FileSource(Path(sys.argv[1])).create(Key(bytes(32)))"
    )
    target = tmp_path / "a" / "b" / "kek"
    subprocess.run([sys.executable, "-c", code, target], check=True)
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b"), mode(target)] == [0o700, 0o700, 0o600]
    assert sorted(entry.name for entry in target.parent.iterdir()) == [tag_name, "kek"]


def test_backups_that_honour_the_tag_leave_the_directory_out(path: Path) -> None:
    """CACHEDIR.TAG begins with the signature of its specification."""
    assert (path.parent / tag_name).read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55")


def test_a_directory_with_other_things_in_it_is_not_tagged(tmp_path: Path) -> None:
    """The tag would take somebody else's files out of the backups too."""
    (tmp_path / "diary.txt").write_text("mine")
    FileSource(tmp_path / "kek").create(kek)
    assert not (tmp_path / tag_name).exists()


def test_leftovers_of_a_crash_do_not_matter(tmp_path: Path) -> None:
    """A temporary file, or a link in its place, is replaced by our own."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "key"
    folder.mkdir(mode=0o700)
    (folder / ".kek.new").symlink_to(victim)
    (folder / f".{tag_name}.new").write_bytes(b"half")
    FileSource(folder / "kek").create(kek)
    assert victim.read_text() == "precious"
    assert sorted(entry.name for entry in folder.iterdir()) == [tag_name, "kek"]


def widen(path: Path) -> None:
    path.chmod(0o640)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:31])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def dangle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def open_folder(path: Path) -> None:
    path.parent.chmod(0o770)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (widen, r"can be used by others \(mode 0640\)"),
        (shorten, "does not have 32 bytes"),
        (lengthen, "does not have 32 bytes"),
        (empty, "does not have 32 bytes"),
        (link, "is a symbolic link"),
        (dangle, "is a symbolic link"),
        (folder, "is not a regular file"),
        (pipe, "is not a regular file"),
        (open_folder, "can be changed by others"),
    ],
)
def test_each_fault_is_its_own_error_and_changes_nothing(path: Path, fault: object, says: str) -> None:
    """A sentence that names the fault, a hint, and everything left as it was found."""
    assert callable(fault)
    fault(path)
    before = path.lstat()
    with pytest.raises(KeySourceError, match=says) as caught:
        FileSource(path).load()
    assert caught.value.hint
    after = path.lstat()
    assert (before.st_mode, before.st_ino, before.st_size, before.st_mtime_ns) == (
        after.st_mode,
        after.st_ino,
        after.st_size,
        after.st_mtime_ns,
    )


def test_a_file_of_another_owner_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root could read anybody's key; it is refused like everybody else."""
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(KeySourceError, match="belongs to another user"):
        FileSource(path).load()


def test_a_file_made_read_only_is_fine(path: Path) -> None:
    """0400 lets nobody else in."""
    path.chmod(0o400)
    assert FileSource(path).load() == kek


def test_a_place_that_cannot_be_written_is_an_error_with_a_hint(tmp_path: Path) -> None:
    """A file where a directory should be: no traceback, and nothing left behind."""
    (tmp_path / "file").write_text("")
    with pytest.raises(KeySourceError, match="can't be written") as caught:
        FileSource(tmp_path / "file" / "kek").create(kek)
    assert caught.value.hint


def test_source_of_makes_what_the_config_names(tmp_path: Path) -> None:
    """And nothing that it does not know."""
    assert source_of("file", tmp_path / "kek").describe() == f"the file {tmp_path / 'kek'}"
    with pytest.raises(ValueError, match="elsewhere"):
        source_of("elsewhere", tmp_path / "kek")


def test_time_machine_is_told_on_macos_only(tmp_path: Path) -> None:
    """Elsewhere nothing is tried."""
    assert exclude_from_time_machine(tmp_path) == (sys.platform == "darwin")
