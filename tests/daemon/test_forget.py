"""`hublet forget`, with a daemon and without one: nothing is left of the cache, and a login begins anew."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import pty
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from hublet.core.envelope import Envelope
from hublet.core.errors import AdminError, HubletError
from hublet.core.messages import Response
from hublet.core.secretstr import SecretStr
from hublet.core.snapshot import Snapshot
from hublet.demo.data import DEMO_KEY, USER_SECRETS
from hublet.demo.faults import Hang
from hublet.demo.server import HubServer
from hublet.serve.admin import Admin
from hublet.store.archive import Archive
from hublet.store.sealed import Store
from tests.daemon.asking import CACHED, answers, ask_all, files_below, message, start_asking, status
from tests.daemon.test_secrets_at_rest import SECRETS, found
from tests.in_process import in_process
from tests.running import HUBLET, Home, eventually

pytestmark = pytest.mark.slow


def everything(home: Home) -> dict[str, bytes]:
    """Every byte of the home: data, keys, config, logs, and whatever else is there."""
    return {str(path.relative_to(home.path)): content for path, content in files_below(home.path).items()}


def wrapped(home: Home) -> list[bytes]:
    """The wrapped data key, pieces of the ciphertext and the key file, as they stand in the files."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(f"file:{home.data / 'hublet.sqlite3'}?mode=ro", uri=True)) as connection:
        rows = dict(connection.execute("SELECT name, value FROM header"))
        sealed = [row[0][40:72] for row in connection.execute("SELECT sealed FROM records")]
    return [rows["wrapped_dek"], *sealed, (home.path / "key" / "kek").read_bytes()]


def nothing_of(pieces: list[bytes], home: Home) -> None:
    places = everything(home)
    assert [(name, piece.hex()) for name, data in places.items() for piece in pieces if piece in data] == []
    assert found(SECRETS, places) == []


def test_without_a_daemon_nothing_is_left_and_a_login_begins_anew(logged_in: Home) -> None:
    """Every byte of the home is looked at. A cache that lies aside goes with it; the config stays."""
    pieces = wrapped(logged_in)
    assert len(pieces) > 20
    assert logged_in.hublet("store", "reset", "--yes").returncode == 0
    logged_in.login(DEMO_KEY)
    pieces += wrapped(logged_in)
    assert all(any(piece in data for data in everything(logged_in).values()) for piece in pieces)
    done = logged_in.hublet("forget", "--yes")
    assert done.returncode == 0, done.stderr.decode()
    assert "its key was destroyed first" in done.stdout.decode()
    assert f"The key is gone from the file {logged_in.path}/key/kek." in done.stdout.decode()
    nothing_of(pieces, logged_in)
    assert sorted(path.name for path in logged_in.data.iterdir()) == ["audit.log", "hublet.lock"]
    (line,) = (logged_in.data / "audit.log").read_text().splitlines()
    assert (json.loads(line)["what"], json.loads(line)["outcome"]) == ("forget", "answered")
    assert logged_in.config.exists()
    again = logged_in.hublet("forget", "--yes")
    assert (again.returncode, "`hublet login` begins a new one" in again.stdout.decode()) == (0, True)
    logged_in.login(DEMO_KEY)
    assert status(logged_in)["state"] == "ok"


_PURGE = """
import sys
from pathlib import Path
from hublet.cli.service import _purge
from hublet.config.loading import load_config
_purge(load_config(Path(sys.argv[1])), dry_run=len(sys.argv) > 2)
"""


def test_uninstalling_with_purge_forgets_as_thoroughly(logged_in: Home) -> None:
    """The key is destroyed first here too: a second name of the database's file does not open any more. Then even the
    folders go. --dry-run says what would go, and leaves it."""
    pieces, key = wrapped(logged_in), logged_in.path / "key"
    dry = logged_in.python("-c", _PURGE, str(logged_in.config), "dry")
    assert dry.stdout.decode() == f"delete {logged_in.data} and the file {key / 'kek'}\n"
    assert wrapped(logged_in) == pieces
    other = logged_in.path / "another name"
    os.link(logged_in.data / "hublet.sqlite3", other)
    for _ in range(2):  # the second time there is nothing left to delete
        done = logged_in.python("-c", _PURGE, str(logged_in.config))
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert not logged_in.data.exists()
        assert not key.exists()
    assert pieces[0] not in other.read_bytes()
    other.unlink()
    nothing_of(pieces, logged_in)
    assert logged_in.config.exists()


def test_a_daemon_goes_on_without_a_cache_until_a_login(logged_in: Home, hub_server: HubServer) -> None:
    """Who waits for the Hub meanwhile gets a whole answer; then 503 with reason and hint; a running pass is ended."""
    with logged_in.daemon() as daemon:
        eventually(lambda: "pass:" in daemon.log.read_text())
        assert [answer.status for answer in ask_all(daemon)] == [200] * len(CACHED)
        pieces = wrapped(logged_in)
        with hub_server.hub.failing(Hang(), "/"):
            hub_server.hub.forget_requests()
            waiting = start_asking(daemon, [("GET", "/ide/get-assistant/somebody/else", None)])
            syncing = subprocess.Popen(
                logged_in.command(*HUBLET, "sync"), env=logged_in.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            eventually(lambda: len(hub_server.hub.requests) >= 2)
            done = logged_in.hublet("forget", "--yes")
            assert done.returncode == 0, done.stderr.decode()
            (answer,) = answers(waiting)
            assert answer.status == 503
            assert "message" in json.loads(answer.body)
            said, problem = syncing.communicate(timeout=30)
            assert syncing.returncode == 12, (said, problem)
            assert b"the pass was ended" in said + problem
            hub_server.hub.heal()
            hub_server.restart()
        for answer in ask_all(daemon):
            assert (answer.status, message(answer)) == (503, "the cache was forgotten `hublet login` begins a new one")
        assert daemon.ask("GET", "/healthz").status == 200
        assert daemon.ask("GET", "/readyz").status == 503
        shown = status(logged_in)
        assert (shown["state"], shown["logged_in"], shown["reason"]) == (
            "unavailable",
            False,
            "the cache was forgotten",
        )
        refused = logged_in.hublet("sync")
        assert refused.returncode == 1
        assert b"the cache was forgotten" in refused.stderr
        nothing_of(pieces, logged_in)
        assert not (logged_in.data / "hublet.sqlite3").exists()

        logged_in.login(DEMO_KEY)
        assert [answer.status for answer in ask_all(daemon)] == [200] * len(CACHED)
        assert status(logged_in)["state"] == "ok"
        assert daemon.stop() == 0
    with logged_in.daemon() as daemon:
        assert ask_all(daemon)[0].status == 200


def test_it_asks_a_person_first_and_a_pipe_not_at_all(logged_in: Home) -> None:
    """What it names is what goes; a no changes nothing."""
    before = (logged_in.data / "hublet.sqlite3").read_bytes()
    refused = logged_in.hublet("forget")
    assert refused.returncode == 2
    assert b"--yes" in refused.stderr
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        logged_in.command(*HUBLET, "forget"), env=logged_in.env(), stdin=theirs, stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        os.write(ours, b"n\n")
        assert process.stdout is not None
        said = process.stdout.read().decode()
        assert process.wait(30) == 130
    os.close(ours)
    assert f"{logged_in.data}/hublet.sqlite3" in said
    assert f"the key: the file {logged_in.path}/key/kek" in said
    assert (logged_in.data / "hublet.sqlite3").read_bytes() == before
    assert (logged_in.path / "key" / "kek").exists()


def test_a_cache_that_can_not_be_opened_is_forgotten_too(logged_in: Home) -> None:
    """Its key is lost; a daemon runs that could not open it. That its login is new shows in the end."""
    (logged_in.path / "key" / "kek").unlink()
    pieces = [logged_in.data.joinpath("hublet.sqlite3").read_bytes()[-64:]]
    with logged_in.daemon() as daemon:
        assert ask_all(daemon)[0].status == 503
        assert logged_in.hublet("forget", "--yes").returncode == 0
        assert "the cache was forgotten" in message(ask_all(daemon)[0])
        nothing_of(pieces, logged_in)
        logged_in.login(DEMO_KEY)
        assert ask_all(daemon)[0].status == 200


def test_what_is_left_half_way_says_what_it_is_and_a_second_attempt_ends_it(
    logged_in: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is destroyed and its file can't be removed: with a daemon, and with one that starts there."""
    folder = logged_in.path / "key"
    with logged_in.daemon() as daemon:
        folder.chmod(0o500)
        failed = logged_in.hublet("forget", "--yes")
        assert failed.returncode == 7, failed.stdout + failed.stderr
        assert b"nothing opens the cache any more, but the file" in failed.stderr
        assert "that is not done yet" in message(ask_all(daemon)[0])
        assert b"was forgotten: its key is destroyed" in logged_in.hublet("login", input=DEMO_KEY.encode()).stderr
    with logged_in.daemon() as daemon:
        said = message(ask_all(daemon)[0])
        assert "was forgotten: its key is destroyed" in said
        assert "`hublet forget` removes what is left" in said
        folder.chmod(0o700)
        assert logged_in.hublet("forget", "--yes").returncode == 0
        assert not (logged_in.data / "hublet.sqlite3").exists()
        assert not (folder / "kek").exists()


def test_nothing_of_it_is_held_in_memory(tmp_path: Path) -> None:
    """No state, no snapshot, no key, no secret value that the interpreter still knows of; the overrides are gone as
    well. (What it has let go it does not overwrite.)"""
    override = tmp_path / "override.env"
    override.touch(mode=0o600)
    override.write_text("LLM_KEY=canary-of-the-override\n")

    gc.collect()
    others = Counter(held())
    """What tests before have left in this process."""

    async def run() -> Counter[str]:
        async with in_process(tmp_path, settings={"secrets": {"override": override}}) as it:
            await it.log_in()
            assert it.service.overrides is not None
            await it.service.overrides.refresh()
            before = held()
            assert {"Envelope", "Archive", "Store", "Snapshot"} <= set(before)
            assert {f"secret {DEMO_KEY}", "secret canary-of-the-override"} <= set(before)
            admin = Admin(it.service, uid=os.getuid())
            assert (await admin.handle("POST", ("forget",), b"{}")).status == 200
            response = await it.ask("GET", "/ide/policy")
            assert response.status == 503
            it.orders.clear()
            del response, admin
            gc.collect()
            return Counter(held()) - others

    assert asyncio.run(run()) == Counter()


def held() -> list[str]:
    """What is alive in this process of what came from a cache."""
    values = {DEMO_KEY, "canary-of-the-override", *USER_SECRETS.values()}
    found = []
    for one in gc.get_objects():
        if isinstance(one, SecretStr) and one.reveal() in values:
            found.append(f"secret {one.reveal()}")
        elif isinstance(one, Envelope | Archive | Store) or (isinstance(one, Snapshot) and one.state.records):
            found.append(type(one).__name__)
    return found


def test_two_at_once_are_one_after_the_other(tmp_path: Path) -> None:
    """The second finds nothing; a login that comes between waits for the end."""

    async def run() -> None:
        async with in_process(tmp_path) as it:
            await it.log_in()
            admin = Admin(it.service, uid=os.getuid())
            first, second = await asyncio.gather(
                admin.handle("POST", ("forget",), b"{}"), admin.handle("POST", ("forget",), b"{}")
            )
            assert isinstance(first, Response)
            assert isinstance(first.body, bytes)
            assert isinstance(second.body, bytes)
            assert json.loads(first.body)["found"]
            with pytest.raises((HubletError, AdminError), match="forgotten"):
                await admin.handle("POST", ("lock",), b"{}")

    asyncio.run(run())


def test_after_a_rotation_no_old_byte_is_left_in_the_home_either(logged_in: Home) -> None:
    """The wrapped key, the ciphertext and the key file of before, in the database, its WAL and its free pages; with the
    daemon running and after it."""
    with logged_in.daemon() as daemon:
        eventually(lambda: "pass:" in daemon.log.read_text())
        pieces = wrapped(logged_in)
        assert logged_in.hublet("keys", "rotate").returncode == 0
        nothing_of(pieces, logged_in)
    nothing_of(pieces, logged_in)
