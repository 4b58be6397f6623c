"""`hublet store check`, `repair`, `backup` and `restore`: with a running daemon and without one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hublet.demo import faults
from hublet.demo.data import DEMO_KEY, sample_world
from hublet.demo.server import HubServer
from tests.running import AS_ROOT, Home, RunningDaemon, eventually

pytestmark = pytest.mark.slow

LIST = "/ide/list-assistants"


@contextmanager
def maybe_running(home: Home, running: bool) -> Iterator[RunningDaemon | None]:
    if not running:
        yield None
        return
    with home.daemon() as daemon:
        eventually(lambda: not status(home)["running"] and status(home)["last_success_at"])
        yield daemon


def status(home: Home) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(home.hublet("status", "--json").stdout)
    return value


def execute(home: Home, statement: str, *parameters: object) -> list[Any]:
    """As somebody without the key would."""
    with closing(sqlite3.connect(home.data / "hublet.sqlite3", isolation_level=None)) as connection:
        rows = connection.execute(statement, parameters).fetchall()
    home.own()
    return rows


def damage(home: Home) -> None:
    """One assistant's record no longer opens."""
    id, sealed = execute(home, "SELECT id, sealed FROM records WHERE kind = 'assistant' ORDER BY id LIMIT 1")[0]
    execute(home, "UPDATE records SET sealed = ? WHERE id = ?", sealed[:-1] + bytes([sealed[-1] ^ 1]), id)


def actions(home: Home) -> list[str]:
    lines = (home.data / "audit.log").read_text().splitlines()
    return [f"{line['what']} {line['outcome']}" for line in map(json.loads, lines)]


@pytest.mark.parametrize("running", [False, True], ids=["alone", "with a daemon"])
def test_a_backup_is_put_back(logged_in: Home, hub_server: HubServer, running: bool) -> None:
    """Sealed, private, whole; restored it is an older copy, which serves no secret until it is accepted."""
    home, file = logged_in, logged_in.path / "backup"
    with maybe_running(home, running) as daemon:
        done = home.hublet("store", "backup", str(file))
        assert done.returncode == 0, done.stderr
        info = file.stat()
        assert (info.st_mode & 0o777, info.st_uid) == (0o600, home.uid if AS_ROOT else info.st_uid)
        assert all(value.encode() not in file.read_bytes() for value in sample_world().secrets.values())
        again = home.hublet("store", "backup", str(file))
        assert (again.returncode, b"already" in again.stderr) == (2, True)
        hub_server.hub.edit_assistant("dana/rust-smith", "Rust Smith", "After the backup")
        assert home.hublet("sync").returncode == 0
        with hub_server.hub.failing(faults.Disconnect()):
            assert home.hublet("store", "restore", str(file)).returncode == 2  # nobody is there to be asked
            done = home.hublet("store", "restore", "--yes", str(file))
            assert done.returncode == 0, done.stderr
            assert status(home)["lock"]["why"] == "restored"
            assert home.hublet("store", "accept", "--yes").returncode == 0
            assert status(home)["lock"] is None
            if daemon is not None:
                assert b"After the backup" not in daemon.ask("GET", LIST).body
                assert daemon.ask("GET", LIST).status == 200
        assert home.hublet("sync").returncode == 0
        if daemon is not None:
            assert b"After the backup" in daemon.ask("GET", LIST).body
        assert home.hublet("store", "check").returncode == 0
        assert [path.name for path in home.data.glob("aside-*")] == ["aside-1"]
        assert not list(home.runtime.glob("*.sqlite3*"))
    assert {"store backup answered", "store restore answered", "store check answered"} <= set(actions(home))


@pytest.mark.parametrize("running", [False, True], ids=["alone", "with a daemon"])
def test_a_backup_that_can_not_be_used_changes_nothing(logged_in: Home, running: bool) -> None:
    """Damaged, of another key, no store at all: refused with its own exit code, and the cache goes on."""
    home, good, bad = logged_in, logged_in.path / "good", logged_in.path / "bad"
    with maybe_running(home, running) as daemon:
        assert home.hublet("store", "backup", str(good)).returncode == 0
        bad.write_bytes(good.read_bytes())
        with closing(sqlite3.connect(bad, isolation_level=None)) as connection:
            connection.execute("DELETE FROM records WHERE kind = 'policy'")
        home.own()
        done = home.hublet("store", "restore", "--yes", str(bad))
        assert (done.returncode, b"the backup is damaged" in done.stderr) == (5, True)
        bad.write_bytes(b"a diary, not a database\n" * 500)
        assert home.hublet("store", "restore", "--yes", str(bad)).returncode == 6
        assert home.hublet("keys", "rotate").returncode == 0
        done = home.hublet("store", "restore", "--yes", str(good))
        assert (done.returncode, b"is not this cache's" in done.stderr) == (7, True)
        assert status(home)["lock"] is None
        assert not list(home.data.glob("aside-*"))
        assert not list(home.runtime.glob("*.sqlite3*"))
        if daemon is not None:
            assert daemon.ask("GET", LIST).status == 200


@pytest.mark.parametrize("running", [False, True], ids=["alone", "with a daemon"])
def test_a_damaged_record_is_found_and_left_out(logged_in: Home, running: bool) -> None:
    """check says it (5), repair keeps the others and the damaged cache; the next sync brings the lost one back."""
    home = logged_in
    assert home.hublet("store", "check").returncode == 0
    damage(home)
    with maybe_running(home, running):
        if not running:  # a daemon's first pass has healed it already
            done = home.hublet("store", "check")
            assert (done.returncode, b"1 records don't open" in done.stderr) == (5, True)
            done = home.hublet("store", "repair")
            assert done.returncode == 0, done.stderr
            assert b"1 could not be read" in done.stdout
            assert [path.name for path in home.data.glob("aside-*")] == ["aside-1"]
        assert home.hublet("store", "check").returncode == 0
        assert home.hublet("store", "repair").stdout == b"Nothing has to be repaired.\n"
    with home.daemon() as daemon:
        eventually(lambda: b"Rust Smith" in daemon.ask("GET", LIST).body)
        assert status(home)["lost_records"] == 0


def test_missing_records_are_accepted_by_a_person_only(logged_in: Home) -> None:
    """No hublet opens it any more; repair says what that means, changes nothing without the word, and keeps a copy."""
    home = logged_in
    ((before,),) = execute(home, "SELECT count(*) FROM records")
    execute(home, "DELETE FROM records WHERE kind = 'policy'")
    file = home.data / "hublet.sqlite3"
    was = file.read_bytes()
    assert status(home)["state"] == "unavailable"
    done = home.hublet("store", "check")
    assert (done.returncode, b"removed, added or renamed" in done.stderr) == (5, True)
    done = home.hublet("store", "repair")
    assert (done.returncode, b"--accept-missing" in done.stderr) == (5, True)
    assert file.read_bytes() == was
    done = home.hublet("store", "repair", "--accept-missing")
    assert done.returncode == 0, done.stderr
    assert b"Others may be missing" in done.stdout
    assert (home.data / "aside-1" / "hublet.sqlite3").read_bytes() == was
    assert execute(home, "SELECT count(*) FROM records") == [(before - 1,)]
    assert home.hublet("store", "check").returncode == 0
    assert status(home)["state"] != "unavailable"
    assert status(home)["lock"] is None


def test_a_daemon_that_could_not_open_the_cache_goes_on_after_a_repair(logged_in: Home) -> None:
    """Without a restart."""
    home = logged_in
    execute(home, "DELETE FROM records WHERE kind = 'policy'")
    with home.daemon() as daemon:
        assert daemon.ask("GET", LIST).status == 503
        assert home.hublet("store", "repair", "--accept-missing").returncode == 0
        assert daemon.ask("GET", LIST).status == 200


def test_a_torn_page_costs_the_records_on_it(logged_in: Home) -> None:
    """The rest is read from both ends."""
    home = logged_in
    execute(home, "PRAGMA wal_checkpoint(TRUNCATE)")
    pages = execute(home, "PRAGMA page_count")[0][0]
    ((records,),) = execute(home, "SELECT count(*) FROM records")
    file = home.data / "hublet.sqlite3"
    with file.open("r+b") as opened:
        opened.seek((pages - 2) * 16384)
        opened.write(b"\xff" * 16384)
    assert home.hublet("store", "check").returncode == 5
    done = home.hublet("store", "repair", "--accept-missing")
    assert done.returncode == 0, done.stderr
    ((left,),) = execute(home, "SELECT count(*) FROM records")
    assert records // 2 < left < records
    assert home.hublet("store", "check").returncode == 0


def test_the_exit_code_says_what_is_wrong(home: Home, hub_server: HubServer) -> None:
    """No store 3, damaged 5 (above), another format 6, no key 7; and looking changes nothing."""
    assert home.hublet("store", "check").returncode == 3
    home.login(DEMO_KEY)
    before = (home.data / "hublet.sqlite3").read_bytes()
    done = home.hublet("store", "check", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["fine"], found["unreadable"], found["format"]) == (0, True, 0, 1)
    assert (home.data / "hublet.sqlite3").read_bytes() == before
    key = home.path / "key" / "kek"
    key.rename(key.with_name("away"))
    assert home.hublet("store", "check").returncode == 7
    assert home.hublet("store", "repair").returncode == 7
    key.with_name("away").rename(key)
    execute(home, "UPDATE header SET value = ? WHERE name = 'format'", b"2")
    done = home.hublet("store", "check")
    assert (done.returncode, b"use a newer hublet" in done.stderr) == (6, True)


def test_a_copy_made_by_hand_with_its_wal_is_restored(logged_in: Home, tmp_path: Path) -> None:
    """The database and the WAL beside it, as a backup program took them."""
    home, copy = logged_in, logged_in.path / "copy"
    with closing(sqlite3.connect(home.data / "hublet.sqlite3", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM records").fetchone()  # so that the WAL is not moved into the database
        home.own()
        assert home.hublet("token", "--name", "in the WAL").returncode == 0
        copy.write_bytes((home.data / "hublet.sqlite3").read_bytes())
        copy.with_name("copy-wal").write_bytes((home.data / "hublet.sqlite3-wal").read_bytes())
    home.own()
    assert home.hublet("store", "restore", "--yes", str(copy)).returncode == 0
    assert b"in the WAL" in home.hublet("token", "list").stdout
