"""Writing into a person's folder: whole files, never theirs, never elsewhere, whenever it is killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from hublet.core.errors import HubletError
from hublet.export.files import LIST, Compared, compare, write_beside, write_files

OLD = {"agents/a.yaml": "a: 1\n", "agents/b.yaml": "b: 1\n", "config.yaml": "a: 1\n"}
NEW = {"agents/a.yaml": "a: 2\n", "agents/c.yaml": "c: 1\n", "config.yaml": "a: 2\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_files(tmp_path / "out", OLD)
    return tmp_path / "out"


def texts(folder: Path) -> dict[str, str]:
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    found.pop(LIST, None)
    return found


def test_files_are_private_and_the_folder_is_made(folder: Path) -> None:
    assert texts(folder) == OLD
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.rglob("*") if path.is_file())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_same_again_writes_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = write_files(folder, OLD)
    assert (done.written, done.removed, done.kept) == ([], [], {})
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_what_is_no_longer_there_is_removed_and_what_changed_replaced(folder: Path) -> None:
    done = write_files(folder, NEW)
    assert texts(folder) == NEW
    assert done.removed == ["agents/b.yaml"]


def test_what_the_disk_has_is_compared_without_being_changed(folder: Path) -> None:
    """Older is what was written once; a file of somebody else's is edited; a folder that is not there lacks all."""
    before = texts(folder)
    assert compare(folder, OLD) == Compared()
    assert compare(folder, NEW) == Compared(("agents/c.yaml",), ("agents/a.yaml", "config.yaml"))
    (folder / "config.yaml").write_text("mine: 1\n")
    assert compare(folder, OLD) == Compared(edited=("config.yaml",))
    write_beside(folder / ".env", "A=1\n")
    assert compare(folder, {".env": "A=2\n"}, beside=True) == Compared(older=(".env",))
    assert compare(folder.parent / "none", OLD) == Compared(missing=tuple(OLD))
    assert texts(folder) == before | {"config.yaml": "mine: 1\n", ".env": "A=1\n"}
    (folder.parent / "link").symlink_to(folder)
    with pytest.raises(HubletError, match="not a folder of its own"):
        compare(folder.parent / "link", OLD)


def test_a_file_that_was_edited_stays_and_the_new_one_goes_beside_it(folder: Path) -> None:
    (folder / "config.yaml").write_text("mine: 1\n")
    for _ in range(2):
        done = write_files(folder, NEW)
        assert done.kept == {"config.yaml": "config.yaml.hublet"}
        assert texts(folder) == NEW | {"config.yaml": "mine: 1\n", "config.yaml.hublet": "a: 2\n"}
    (folder / "agents/c.yaml").write_text("mine: 2\n")
    assert "agents/c.yaml" not in write_files(folder, {}).removed, "edited, so it is a person's own"
    assert (folder / "config.yaml").read_text() == "mine: 1\n"


def test_a_file_that_was_never_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine: 1\n")
    done = write_files(tmp_path, OLD)
    assert done.kept == {"config.yaml": "config.yaml.hublet"}
    assert (tmp_path / "config.yaml").read_text() == "mine: 1\n"


@pytest.mark.parametrize("name", ["config.yaml", "agents/a.yaml", LIST])
def test_a_link_in_a_files_place_is_not_written_through(folder: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "target"
    target.write_text("a: 1\n")
    (folder / name).unlink()
    (folder / name).symlink_to(target)
    write_files(folder, NEW)
    assert target.read_text() == "a: 1\n"


def test_a_folder_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(HubletError, match="not a folder of its own"):
        write_files(tmp_path / "link", NEW)
    (folder / "agents").rename(tmp_path / "elsewhere")
    (folder / "agents").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HubletError, match="agents is not a folder"):
        write_files(folder, NEW)
    assert (tmp_path / "elsewhere" / "a.yaml").read_text() == "a: 1\n"


def test_a_folder_that_others_can_change_is_refused(folder: Path) -> None:
    folder.chmod(0o777)
    with pytest.raises(HubletError, match="changed by others"):
        write_files(folder, NEW)
    assert texts(folder) == OLD


OUTSIDE = ["../x", "a/../x", "/etc/x", "a/b/c/d", "a//x", "", ".", "a/", LIST, "a\0b", "a\ud800"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_leads_out_of_the_folder(folder: Path, path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        write_files(folder, {path: "x"})


def test_no_path_of_a_list_leads_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    """The list may have come with the folder, from somebody who knows the bytes of a file outside of it."""
    (tmp_path / "mine").write_text("mine\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "known").touch()
    lists = json.loads((folder / LIST).read_text())
    digests = [hashlib.sha256(text).hexdigest() for text in (b"mine\n", b"")]
    outside = [*OUTSIDE, "../mine", "agents/../../mine", str(tmp_path / "mine"), "../empty/known"]
    lists["files"] |= dict.fromkeys(outside, digests)
    (folder / LIST).write_text(json.dumps(lists))
    assert compare(folder, OLD) == Compared()
    done = write_files(folder, NEW)
    assert done.removed == ["agents/b.yaml"]
    assert texts(folder) == NEW
    assert (tmp_path / "mine").read_text() == "mine\n"
    assert (tmp_path / "empty" / "known").exists()
    assert set(json.loads((folder / LIST).read_text())["files"]) == set(NEW)


def test_a_folder_of_ours_that_is_empty_goes_with_its_last_file(tmp_path: Path) -> None:
    """Over two levels, and only where nothing else is."""
    deep = {"one/SKILL.md": "1", "one/references/a.md": "2", "two/SKILL.md": "3"}
    write_files(tmp_path / "out", deep)
    assert texts(tmp_path / "out") == deep
    (tmp_path / "out" / "two" / "mine").write_text("x")
    done = write_files(tmp_path / "out", {"three/references/b.md": "4"})
    assert done.removed == ["one/SKILL.md", "one/references/a.md", "two/SKILL.md"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [LIST, "three", "two"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "three" / "references" / "b.md").unlink()
    (tmp_path / "out" / "three" / "references").rmdir()
    (tmp_path / "out" / "three" / "references").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HubletError, match="link or a file"):
        write_files(tmp_path / "out", {"three/references/b.md": "5"})
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_list_that_cant_be_read_makes_nothing_ours(folder: Path) -> None:
    for text in ("", "[]", '{"files": 7}', "{", "[" * 100_000):
        (folder / LIST).write_text(text)
        done = write_files(folder, {**OLD, "config.yaml": f"a: {text!r}\n"})
        assert "config.yaml" in done.kept
        assert (folder / "config.yaml").read_text() == OLD["config.yaml"]


def test_one_file_besides_is_neither_removed_by_the_others_nor_removes_them(folder: Path) -> None:
    assert write_beside(folder / ".env", "A=1\n").written == [".env"]
    write_files(folder, NEW)
    assert write_beside(folder / ".env", "A=2\n").written == [".env"]
    assert texts(folder) == NEW | {".env": "A=2\n"}
    (folder / ".env").write_text("MINE=1\n")
    assert write_beside(folder / ".env", "A=3\n").kept == {".env": ".env.hublet"}


_WATCHED = frozenset({"open", "write", "flush", "fsync", "fchmod", "mkdir", "unlink", "rename", "close", "fdopen"})


def killed_at(number: int, folder: Path) -> bool:
    """Write the new files in a child that kills itself before the n-th call that touches a file; whether it did."""
    child = os.fork()
    if child == 0:
        count = 0

        def profile(frame: Any, event: str, arg: Any) -> None:
            nonlocal count
            if event == "c_call" and arg.__name__ in _WATCHED and "/hublet/export/" in frame.f_code.co_filename:
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(profile)
        write_files(folder, NEW)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_killed_at_every_step_files_are_old_or_new_and_the_next_export_ends_it(tmp_path: Path) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        folder = tmp_path / str(number)
        write_files(folder, OLD)
        (folder / "mine.yaml").write_text("mine: 1\n")
        killed = killed_at(number, folder)
        left = texts(folder)
        for path, text in left.items():
            if not Path(path).name.startswith("."):
                assert text in (OLD.get(path), NEW.get(path), "mine: 1\n"), (number, path)
        done = write_files(folder, NEW)
        assert done.kept == {}, (number, "what was written before the kill is still known for ours")
        assert texts(folder) == NEW | {"mine.yaml": "mine: 1\n"}, number
        assert json.loads((folder / LIST).read_text())["files"].keys() == NEW.keys()
    assert number > 40, "there were steps to be killed at"
