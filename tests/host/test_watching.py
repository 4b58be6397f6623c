"""A changed config file is noticed however it was changed, and mere reading wakes nobody."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hublet.host.signature import signature
from hublet.host.watching import FileWatch


class Watched:
    def __init__(self, file: Path, avoid: tuple[Path, ...] = ()) -> None:
        self.file = file
        self.nudged = threading.Event()
        self.watch = FileWatch(file, self.nudged.set, avoid=avoid)
        self.watch.start()

    def notices(self, change: Callable[[], object]) -> bool:
        """Whether an event comes, and `look` then finds the change."""
        self.watch.look()
        self.nudged.clear()
        change()
        return self.nudged.wait(3) and self.watch.look()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "config.yaml").write_text("a")
    found = Watched(folder / "config.yaml")
    yield found
    found.watch.stop()


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def relink(link: Path, target: str) -> None:
    """Do as `ln -sfn` and Kubernetes do: make a new link and rename it over the old one."""
    new = link.with_name("..tmp")
    new.symlink_to(target)
    new.replace(link)


def test_in_place_by_rename_deleted_and_put_back(watched: Watched) -> None:
    assert watched.notices(lambda: watched.file.write_text("bb"))
    assert watched.notices(lambda: replace(watched.file, "ccc"))
    assert watched.notices(lambda: watched.file.write_text("dd"))
    assert watched.notices(watched.file.unlink)
    assert watched.notices(lambda: watched.file.write_text("e"))
    assert watched.notices(lambda: watched.file.chmod(0o600))


def test_links_as_kubernetes_swaps_them(watched: Watched) -> None:
    """config.yaml → ..data/config.yaml, ..data → ..1; then ..data → ..2 by one rename."""
    folder = watched.file.parent
    for name in ("..1", "..2"):
        (folder / name).mkdir()
        (folder / name / "config.yaml").write_text(f"from {name}")
    (folder / "..data").symlink_to("..1")
    assert watched.notices(lambda: relink(watched.file, "..data/config.yaml"))
    assert watched.notices(lambda: relink(folder / "..data", "..2"))
    assert watched.notices(lambda: (folder / "..2" / "config.yaml").write_text("edited behind the links"))


def test_a_folder_that_is_a_link_as_stow_makes_it(watched: Watched, tmp_path: Path) -> None:
    """The folder itself is replaced by a link to the dotfiles, then edited there, then linked elsewhere."""
    for name in ("dotfiles", "others"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(name)
    folder = watched.file.parent

    def stow() -> None:
        shutil.rmtree(folder)
        folder.symlink_to("dotfiles")

    assert watched.notices(stow)
    assert watched.notices(lambda: replace(tmp_path / "dotfiles" / "config.yaml", "x"))
    assert watched.notices(lambda: relink(folder, str(tmp_path / "others")))
    assert watched.notices(lambda: (tmp_path / "others" / "config.yaml").write_text("yy"))


def test_a_folder_that_goes_and_comes_back(watched: Watched) -> None:
    """Even with the old one's inode."""
    folder = watched.file.parent
    assert watched.notices(lambda: shutil.rmtree(folder))

    def back() -> None:
        folder.mkdir()
        watched.file.write_text("back")

    assert watched.notices(back)
    assert watched.notices(lambda: watched.file.write_text("and edited"))


def test_reading_and_neighbours_wake_nobody(watched: Watched) -> None:
    watched.watch.look()
    watched.nudged.clear()
    watched.file.read_text()
    (watched.file.parent / "other").write_text("x")
    assert not watched.nudged.wait(0.4)
    assert not watched.watch.look()


def test_the_store_is_never_watched(tmp_path: Path) -> None:
    """A config file that lies in it is checked now and then instead."""
    file = tmp_path / "data" / "config.yaml"
    file.parent.mkdir()
    file.write_text("a")
    found = Watched(file, avoid=(tmp_path / "data",))
    try:
        assert found.watch.watched == [tmp_path]
        file.write_text("bb")
        assert not found.nudged.wait(0.3)
        assert found.watch.look()
    finally:
        found.watch.stop()


def test_a_folder_that_went_while_it_was_to_be_watched_is_tried_again(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it is back with the same inode before anybody looks, so that nothing seems to have changed."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").write_text("other")
    watch = watched.watch._watch

    def gone(observer: Any, folder: str, *, whole: bool) -> Any:
        if folder == str(other):
            raise FileNotFoundError(folder)
        return watch(observer, folder, whole=whole)

    monkeypatch.setattr(watched.watch, "_watch", gone)
    assert watched.notices(lambda: relink(watched.file, str(other / "config.yaml")))
    assert other not in watched.watch.watched
    monkeypatch.undo()
    assert watched.notices(lambda: (other / "config.yaml").write_text("edited"))


def test_watchdog_is_not_imported_by_the_daemon() -> None:
    """It is imported by `start`, after the first answers."""
    code = "import sys, hublet.daemon; sys.exit('watchdog' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_was_written_between_reading_a_file_and_watching_it_is_news(tmp_path: Path) -> None:
    """By the signature from before it was read; a daemon that has just begun to answer watches a moment later."""
    file = tmp_path / "config.yaml"
    file.write_text("as it was read")
    before = signature(file)
    file.write_text("and a word more")
    assert FileWatch(file, lambda: None, seen=before).look()
    assert not FileWatch(file, lambda: None, seen=signature(file)).look()
    assert not FileWatch(file, lambda: None).look()
