"""The key, the cache on the disk, how fresh it is and what is in it: each with its fault made."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.doctor.looking import Place, grades, only

from hublet.demo.faults import Status
from hublet.doctor import cache, scene, setup, store
from hublet.doctor.findings import Finding

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def full(place: Place) -> Place:
    """With a store in it, logged in and synced just now; no daemon."""
    return place.with_store()


def tree(place: Place) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(place.path)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in place.path.rglob("*")
    }


def test_a_whole_store_is_ok_and_nothing_is_changed_by_looking(full: Place) -> None:
    """Every file of the home is byte for byte as it was, and there is no other."""
    before = tree(full)
    found = full.found(store.key, store.store, cache.state, cache.secrets, setup.config)
    assert tree(full) == before
    assert grades(found) == {
        "key": "ok", "store": "ok", "account": "ok", "cache.age": "ok", "secrets.missing": "warning", "config": "ok",
    }  # fmt: skip
    assert "protects a copy of the cache" in only(found, "key").message


def test_no_store_yet(place: Place) -> None:
    """Neither store nor key is made by looking."""
    found = place.found(store.key, store.store)
    assert grades(found) == {"key": "ok", "store": "warning"}
    assert only(found, "store").fix == "`hublet login`"
    assert not place.data.exists()
    assert not place.key.exists()


@pytest.mark.parametrize("fault", ["gone", "another", "readable", "short", "link"])
def test_a_key_that_cant_be_used(full: Place, fault: str) -> None:
    if fault == "gone":
        full.key.unlink()
    elif fault == "another":
        full.key.write_bytes(bytes(32))
    elif fault == "readable":
        full.key.chmod(0o644)
    elif fault == "short":
        full.key.write_bytes(bytes(31))
    else:
        full.key.symlink_to(full.key.rename(full.path / "elsewhere"))
    found = full.found(store.key, store.store)
    assert grades(found) == {"key": "problem", "store": "warning"}
    assert only(found, "key").fix


def test_a_key_within_the_cache_s_own_folder(place: Place) -> None:
    place.configure(keys={"file": place.data / "key" / "kek"})
    found = place.with_store().found(store.key)
    assert [finding.grade for finding in found] == ["ok", "warning"]


def test_a_count_of_commits_that_cant_be_read(full: Place) -> None:
    full.key.with_name("kek.count").chmod(0o644)
    found = full.found(store.key)
    assert "older copies of the cache would not be noticed" in found[1].message


@pytest.mark.parametrize(
    ("keys", "grade", "words"),
    [
        ({"source": "passphrase"}, "problem", "the cache is sealed with the key source file"),
        ({"source": "credential"}, "problem", "the cache is sealed with the key source file"),
    ],
)
def test_a_source_that_is_not_the_caches(full: Place, keys: dict[str, object], grade: str, words: str) -> None:
    full.configure(keys=keys)
    found = only(full.found(store.key), "key")
    assert (found.grade, words in found.message) == (grade, True)


def test_a_passphrase_is_not_asked_for(place: Place) -> None:
    """Nobody waits at a prompt; nor is that a fault."""
    word = place.write("word", "twelve letters and more", 0o600)
    place.configure(keys={"source": "passphrase", "passphrase_file": word})
    place.with_store()
    assert only(place.found(store.key), "key").grade == "ok"
    place.settings["keys"].pop("passphrase_file")
    place.configure()
    found = place.found(store.key, store.store)
    assert grades(found) == {"key": "warning", "store": "warning"}
    place.configure(keys={"passphrase_file": place.home / "nowhere"})
    assert only(place.found(store.key), "key").grade == "problem"


def test_a_credential_that_a_shell_does_not_get(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the unit is given it."""
    given = place.write("credentials/hublet-key", "x" * 32, 0o600)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given.parent))
    place.configure(keys={"source": "credential"})
    place.with_store()
    assert only(place.found(store.key), "key").grade == "ok"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert grades(place.found(store.key)) == {"key": "warning"}


def changed(place: Place, statement: str, *values: object) -> None:
    with sqlite3.connect(place.data / "hublet.sqlite3") as connection:
        connection.execute(statement, values)
        connection.commit()
    connection.close()


def test_a_record_that_does_not_open(full: Place) -> None:
    """One flipped byte is one lost record."""
    changed(full, "UPDATE records SET sealed = substr(sealed, 1, 80) || x'00' || substr(sealed, 82) "
                  "WHERE id = (SELECT id FROM records WHERE kind = 'assistant' LIMIT 1)")  # fmt: skip
    found = only(full.found(store.store), "store")
    assert (found.grade, found.message) == ("warning", "1 records can't be read")


def test_a_store_that_was_changed(full: Place) -> None:
    """A deleted record is damage to the whole; doctor says so and leaves it."""
    changed(full, "DELETE FROM records WHERE id = (SELECT id FROM records WHERE kind = 'assistant' LIMIT 1)")
    found = only(full.found(store.store), "store")
    assert found.grade == "problem" or "can't be read" in found.message


def test_a_store_of_a_newer_hublet(full: Place) -> None:
    changed(full, "UPDATE header SET value = ? WHERE name = 'format'", b"99")
    found = only(full.found(store.store), "store")
    assert (found.grade, "format 99" in found.message, found.fix) == ("problem", True, "use a newer hublet")


def test_a_file_that_is_no_store(full: Place) -> None:
    (full.data / "hublet.sqlite3").write_bytes(b"not a database at all" * 100)
    assert only(full.found(store.store), "store").grade == "problem"


def test_a_store_that_another_hublet_has_is_named_with_its_process(full: Place) -> None:
    """One that no admin socket leads to. The real lock, held by another process."""
    script = (
        "from hublet.store.lock import Lock; import sys, pathlib\n"
        "Lock.take(pathlib.Path(sys.argv[1])); print(1, flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", script, str(full.data)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"1\n"
        found = only(full.found(store.store), "store")
        assert other.stdin is not None
        other.stdin.close()
    assert (found.grade, f"process {other.pid}" in found.message) == ("problem", True)


def test_looking_keeps_nobody_out_but_for_a_moment(full: Place) -> None:
    full.found(store.store)
    with (full.data / "hublet.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(("name", "mode"), [("", 0o755), ("hublet.sqlite3", 0o640)])
def test_modes_that_let_others_in(full: Place, name: str, mode: int) -> None:
    (full.data / name).chmod(mode)
    found = full.found(store.store)
    assert grades(found) == {"store.modes": "problem", "store": "ok"}
    assert only(found, "store.modes").fix == f"chmod {'700' if not name else '600'} {full.data / name}"


@pytest.mark.skipif(os.getuid() != 0, reason="giving a file away needs root")
def test_a_store_of_another_user(full: Place) -> None:
    os.chown(full.data / "hublet.sqlite3", 64101, 64101)
    assert "uid 64101" in only(full.found(store.store), "store.modes").message


def test_a_write_ahead_log_that_has_grown(full: Place) -> None:
    wal = full.data / "hublet.sqlite3-wal"
    wal.touch(mode=0o600)
    os.truncate(wal, 65 * 2**20)
    assert "65 MB" in only(full.found(store.store), "store.wal").message


def test_no_daemon_runs(full: Place) -> None:
    assert grades(full.found(cache.daemon)) == {"daemon": "warning"}


@pytest.fixture
def silent(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Somebody behind the admin socket who never answers."""
    monkeypatch.setattr(scene, "PATIENCE", 0.3)
    place.admin.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.admin))
        listener.listen(8)
        yield place


def test_a_daemon_that_does_not_answer(silent: Place) -> None:
    found = silent.found(cache.daemon, store.store, store.key, cache.state, cache.secrets)
    assert only(found, "daemon").grade == "problem"
    assert "does not answer in time" in only(found, "daemon").message
    assert grades(found) == {"daemon": "problem", "store": "warning", "key": "warning"}


def test_a_daemon_of_another_version(place: Place) -> None:
    """Which tells its status, and knows nothing of examinations."""
    place.admin.parent.mkdir(mode=0o700)
    status = {
        "version": "0.0.1",
        "state": "ok",
        "logged_in": True,
        "hub": "x",
        "port": 3001,
        "last_success_at": time.time(),
    }

    def serve() -> None:
        for _ in range(3):  # is anybody there, the examination, the status
            connection, _ = listener.accept()
            with connection:
                asked = connection.recv(4096)
                if asked.startswith(b"GET /status"):
                    code, body = "200 OK", json.dumps(status).encode()
                else:
                    code, body = "404 Not Found", b'{"message": "Not found"}'
                if asked:
                    connection.sendall(f"HTTP/1.1 {code}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.admin))
        listener.listen(8)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        found = place.found(setup.version, cache.state, store.store, store.key)
        thread.join(10)
    assert [finding.grade for finding in found if finding.check == "version"] == ["ok", "warning"]
    assert "0.0.1" in found[1].message
    assert grades(found)["account"] == "ok"
    assert grades(found)["store"] == "warning"


def test_a_running_hublet_that_is_well(place: Place) -> None:
    async def scenario() -> list[Finding]:
        async with place.running() as it:
            await it.log_in()
            return await place.told(cache.daemon, cache.state, store.key, store.store)

    assert grades(asyncio.run(scenario())) == dict.fromkeys(("daemon", "account", "cache.age", "key", "store"), "ok")


def test_each_state_that_needs_a_person(place: Place) -> None:
    """Not logged in, locked, in quarantine, not saved, other keys: one after the other in one hublet."""

    async def scenario() -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        async with place.running() as it:
            found["fresh"] = grades(await place.told(cache.state))
            await it.log_in()
            await it.sync.lock()
            found["locked"] = grades(await place.told(cache.state, cache.secrets))
            await it.sync.unlock()
            it.hub.inject(Status(500))
            await it.sync.run_pass()
            found["failing"] = grades(await place.told(cache.state))
            it.hub.heal()
            it.sync.saving.failed_since, it.sync.saving.reason = it.clock() - 60, "the disk is full"
            it.service.counters["other-key"] += 1
            found["odd"] = grades(await place.told(cache.state))
        return found

    found = asyncio.run(scenario())
    assert found["fresh"] == {"account": "problem"}
    assert found["locked"]["cache.lock"] == "problem"
    assert found["failing"]["cache.age"] == "warning"
    assert found["failing"]["cache.troubles"] == "warning"
    assert found["failing"]["cache.policy"] == "warning"
    assert found["odd"]["cache.unsaved"] == "problem"
    assert found["odd"]["cache.account"] == "warning"


def test_a_quarantine_is_told(place: Place) -> None:
    async def scenario() -> list[Finding]:
        async with place.running() as it:
            await it.log_in()
            with it.hub.changing() as world:
                world.roster.clear()
            await it.sync.run_pass()
            assert it.sync.state.ledger.held
            return await place.told(cache.state)

    assert only(asyncio.run(scenario()), "cache.quarantine").fix.startswith("`hublet quarantine`")


def test_a_store_that_cant_be_opened_by_the_daemon(full: Place) -> None:
    full.key.unlink()

    async def scenario() -> list[Finding]:
        async with full.running() as it:
            assert it.service.unavailable is not None
            return await full.told(store.key, store.store)

    assert grades(asyncio.run(scenario())) == {"key": "warning", "store": "problem"}


def test_a_key_from_the_environment(full: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    full.environment["CONTINUE_API_KEY"] = "con_anything_at_all"
    assert only(full.found(cache.state), "account").grade == "warning"


def test_a_sync_long_ago(place: Place) -> None:
    place.with_store(at=time.time() - 3 * 86400)
    found = only(place.found(cache.state), "cache.age")
    assert (found.grade, "3 d" in found.message) == ("warning", True)


def test_a_clock_that_was_set_back(place: Place) -> None:
    place.with_store(at=time.time() + 86400)
    assert "in the future" in only(place.found(cache.state), "cache.age").message


def test_secrets_that_have_expired_or_soon_will(place: Place) -> None:
    """By the last time that the Hub confirmed them, and secrets.max_stale."""
    place.configure(secrets={"max_stale": "7d"})
    place.with_store(at=time.time() - 6 * 86400)
    found = place.found(cache.secrets)
    assert grades(found)["secrets.expiring"] == "warning"
    assert "secrets.expired" not in grades(found)
    place.configure(secrets={"max_stale": "5d"})
    found = place.found(cache.secrets)
    assert grades(found)["secrets.expired"] == "problem"


def test_a_secret_that_the_hub_does_not_find_is_named_with_who_needs_it(full: Place) -> None:
    found = only(full.found(cache.secrets), "secrets.missing")
    assert found.message == "NOT_ANYWHERE: the Hub finds none for your account; dana/trial-run needs it"


def test_an_override_that_cant_be_read_is_told(place: Place) -> None:
    file = place.write("secrets.env", "A=b\n", 0o644)
    place.configure(secrets={"override": file})

    async def scenario() -> list[Finding]:
        async with place.running() as it:
            await it.log_in()
            assert it.service.overrides is not None
            await it.service.overrides.refresh()
            return await place.told(cache.state)

    assert only(asyncio.run(scenario()), "secrets.override").grade == "warning"


def test_an_export_that_fails_is_told(place: Place) -> None:
    (place.home / "out").write_text("a file is in the way")
    place.configure(export={"directory": place.home / "out"})

    async def scenario() -> list[Finding]:
        async with place.running() as it:
            await it.log_in()
            assert it.service.exporter is not None
            it.service.exporter.soon()
            await it.service.exporter.close()
            return await place.told(cache.state)

    assert only(asyncio.run(scenario()), "export").grade == "warning"
