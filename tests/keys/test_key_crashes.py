"""kill -9 at every step of a change of key: what is left opens by itself and holds everything."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import crashing
import pytest
from secret_service import secret_service, why_not

from hublet.cli.client import LocalClient
from hublet.core.envelope import Key
from hublet.core.recovery import code_of
from hublet.keys import passphrase
from hublet.keys.file import FileSource
from hublet.store.archive import Archive
from hublet.store.sealed import Store
from hublet.store.unlocking import peek

pytestmark = pytest.mark.slow

code = Key(bytes(range(32)))
kept = {"account": {"key": "con_x"}, "tokens": list(range(2000)), "more": "x" * 50_000}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with a recovery code, its key in a file."""
    archive = Archive(Store.open(tmp_path / "data", FileSource(tmp_path / "key" / "kek")))
    for name, value in kept.items():
        archive.keep(name, value)
    archive.escrow(code, 5.0)
    archive.close()
    return tmp_path


def crashes(folder: Path, *words: str, environment: Mapping[str, str] | None = None) -> tuple[int, int]:
    """How often the change was killed, and how often what was found had changed from one source to another."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, crashing.__file__, folder, *words],
        env={**os.environ, **(environment or {}), "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    found = re.search(r"(\d+) crashes, (\d+) changes", done.stdout)
    assert found, done.stdout[-2000:] + done.stderr[-4000:]
    return int(found[1]), int(found[2])


def test_a_rotation_survives_a_crash_at_every_step(folder: Path) -> None:
    """The key file and the database are two places: before the commit the old key opens it, then the staged one."""
    killed, _ = crashes(folder, "rotate")
    assert killed > 40


def test_a_move_to_a_passphrase_and_back_survives_a_crash_at_every_step(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is found is the one or the other, and turns from one to the other at one step."""
    killed, turns = crashes(folder, "move", "passphrase")
    assert killed > 30
    assert turns == 1
    monkeypatch.setattr(passphrase, "Factors", crashing.quick_factors)
    crashing.change(folder, ["move", "passphrase"])
    killed, turns = crashes(folder, "move", "file")
    assert killed > 40
    assert turns == 1


def test_a_recovery_survives_a_crash_at_every_step(folder: Path) -> None:
    """The code opens it until the new key does."""
    killed, _ = crashes(folder, "recover", code_of(code))
    assert killed > 40


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is one")
def test_a_move_to_the_keyring_and_a_rotation_there_survive_a_crash_around_each_of_its_calls(folder: Path) -> None:
    """With a real gnome-keyring: before and after each call of it, and before the last writes of the database.

    Once a crash comes after the commit the next run finds the key there already, and gives it a new one.
    """
    with secret_service(folder / "home") as service:
        killed, _ = crashes(folder, "keyring", "move", "keyring", environment=service.environment)
        assert killed >= 6
        header = peek(folder / "data")
        assert header is not None
        account = header.parameters["account"]
        ours = {f"Password for '{account}' on 'hublet'", f"Password for '{account}.count' on 'hublet'"}
        assert {label for label in service.labels() if account in label} == ours
    # One of the crashes came just before the old file was to go: it is of no use, and `hublet keys show` names it.
    client = LocalClient(crashing.config_of(folder, "keyring"), opening=False)
    assert client.call("GET", "/keys")["left_behind"] == str(folder / "key" / "kek")
    client.close()


def test_a_kill_at_any_moment_is_survived(folder: Path) -> None:
    """Also within SQLite's own writing, where no step of ours is: killed from outside, later and later."""
    program = (
        "import sys, crashing; from pathlib import Path; print(flush=True)\n"
        "crashing.change(Path(sys.argv[1]), ['rotate'])"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), str(Path(__file__).parents[2]))),
    }
    ended = []
    for attempt in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", program, folder], env=environment, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.012 * attempt)
            process.kill()
            process.wait()
            ended.append(process.returncode)
        assert crashing.documents(folder) == kept
    assert -signal.SIGKILL in ended
