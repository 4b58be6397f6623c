"""Kills a change of key at every step: run as a program, one scenario after the other, for test_key_crashes.py.

    python crashing.py FOLDER [keyring] CHANGE...

FOLDER holds `data` and `key`, a store as it was before the change. The change is run again and again in a child on a
fresh copy, and the n-th call that touches a file, the database or the keyring is where the child kills itself, n = 1,
2, 3... until it lives to its end. The interpreter's own profiler does the counting, so nothing in hublet knows of it.
Each time whatever is left has to open by the source that its header names, hold every record, and take another change.

With `keyring` there are no copies, since a keyring can't be copied: each run goes on from what the last crash left. And
since it is slow, only its own calls count, and the last ones of the database.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from hublet.config.loading import Config, parse_config
from hublet.core.errors import KeySourceError
from hublet.core.secretstr import SecretStr
from hublet.keys import passphrase, source_of
from hublet.keys.asking import Asker
from hublet.keys.keyring import KeyringSource
from hublet.store.archive import Archive
from hublet.store.sealed import Store
from hublet.store.unlocking import peek

_real = passphrase.Factors
WORDS = "the passphrase of these tests"
_WATCHED = frozenset({
    "open", "write", "flush", "fsync", "fchmod", "chmod", "mkdir", "unlink", "replace", "rename", "connect", "execute",
    "executemany", "close", "ftruncate", "pwrite",
})  # fmt: skip


def config_of(folder: Path, source: str) -> Config:
    return parse_config(
        f"cache: {{directory: {folder}/data, runtime_directory: {folder}/run}}\n"
        f"keys: {{source: {source}, file: {folder}/key/kek}}\n".replace("{", "\n  ")
        .replace("}", "")
        .replace(", ", "\n  "),
        "test",
    )


def change(folder: Path, words: list[str]) -> None:
    """`rotate`, `move SOURCE` or `recover CODE`, as the command does it without a daemon."""
    from hublet.cli.client import LocalClient

    client = LocalClient(config_of(folder, "file"), opening=False)
    body = {"passphrase": WORDS, "new_passphrase": WORDS}
    match words:
        case ["rotate"]:
            client.call("POST", "/keys/rotate", body)
        case ["move", source]:
            client.call("POST", "/keys/move", {"source": source} | body)
        case ["recover", code]:
            client.call("POST", "/keys/recover", {"code": code} | body)
    client.close()


def quick_factors(n: int = 2**4, r: int = 8, p: int = 1) -> object:
    """In place of `passphrase.Factors`, because the test does the work a hundred times."""
    return _real(n, r, p)


def documents(folder: Path) -> dict[str, object]:
    """The documents of a store, opened by the source that its header names."""
    header = peek(folder / "data")
    assert header is not None
    asker = Asker(given=SecretStr(WORDS))
    source = source_of(header.source, folder / "key" / "kek", parameters=header.parameters, asker=asker)
    archive = Archive(Store.open(folder / "data", source))
    try:
        loaded = archive.load()
        assert loaded.lost == 0
        return dict(loaded.documents)
    finally:
        archive.close()


def killing_at(number: int, watched: frozenset[str]) -> Callable[[Any, str, Any], None]:
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def profile(frame: Any, event: str, arg: Any) -> None:
        if event == "c_call":
            file = frame.f_code.co_filename
            ours = "/hublet/keys/" in file or "/hublet/store/" in file or file.endswith("pathlib.py")
            if ours and arg.__name__ in watched:
                step()
        elif event in ("call", "return") and frame.f_code is KeyringSource._ask.__code__:
            step()

    return profile


def killed_at(number: int, folder: Path, words: list[str], watched: frozenset[str]) -> bool:
    """Run the change in a child. Returns whether it was killed before its end."""
    child = os.fork()
    if child == 0:
        try:
            # The work is done in a thread that is yet to be started.
            threading.setprofile(killing_at(number, watched))
            change(folder, words)
        except BaseException as error:  # noqa: BLE001
            print(f"it failed by itself: {error!r}", flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, f"{words} at {number}"
    return False


def main(folder: Path, words: list[str]) -> None:
    os.umask(0o077)
    expected = documents(folder)
    in_place = words[0] == "keyring"
    words = words[1:] if in_place else words
    watched = frozenset({"executemany"}) if in_place else _WATCHED
    if words[0] == "recover":  # the key is lost before it begins
        shutil.rmtree(folder / "key")
    work, number, sources = folder if in_place else folder / "work", 0, []
    while True:
        number += 1
        if not in_place:
            shutil.rmtree(work, ignore_errors=True)
            for name in ("data", "key"):
                if (folder / name).exists():
                    shutil.copytree(folder / name, work / name)
        killed = killed_at(number, work, words, watched)
        found = documents_or_recover(work, words)
        assert found == expected, (number, found)
        header = peek(work / "data")
        assert header is not None
        sources.append(header.source)
        if not killed:
            break
        if number % 8 == 0 and not in_place:  # and from there on it can go on
            change(work, ["rotate"])
            assert documents(work) == expected
    print(f"{number - 1} crashes, {sum(one != other for one, other in pairwise(sources))} changes")


def documents_or_recover(work: Path, words: list[str]) -> dict[str, object]:
    """When the key was lost before the change, either the recovery code or the new key opens what a crash left."""
    if words[0] != "recover":
        return documents(work)
    try:
        return documents(work)
    except KeySourceError:  # the commit was not reached: the code has to work again
        change(work, words)
        return documents(work)


if __name__ == "__main__":
    passphrase.Factors = quick_factors  # type: ignore[assignment,misc]
    main(Path(sys.argv[1]), sys.argv[2:])
