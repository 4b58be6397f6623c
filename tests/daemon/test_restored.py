"""An older copy of the whole cache that is put back: noticed, served without its secrets, and the user's to accept."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

from hublet.core.errors import HubletError
from hublet.core.locking import is_restored
from hublet.demo.data import DEMO_KEY, USER_SECRETS
from hublet.serve.admin import Admin
from tests.daemon.asking import SECRETS, ask_all, status
from tests.in_process import InProcess, in_process
from tests.running import AS_ROOT, HUBLET, OTHER_UID, Home, RunningDaemon, eventually

pytestmark = pytest.mark.slow

POLICY = [("GET", "/ide/policy", None)]


def put_back(home: Home, copy: Path) -> None:
    shutil.rmtree(home.data)
    shutil.copytree(copy, home.data)
    home.own()


def older(home: Home) -> str:
    """A cache of before, with a token that was revoked since, in the place of the newest one; the token."""
    made = home.hublet("token", "--name", "gone")
    token = made.stdout.decode().strip()
    copy = Path(shutil.copytree(home.data, home.path / "copy"))
    assert home.hublet("token", "revoke", "gone").returncode == 0
    assert home.hublet("lock").returncode == 0
    assert home.hublet("sync").returncode == 0
    put_back(home, copy)
    return token


def llm_key(daemon: RunningDaemon) -> bytes:
    (answer,) = ask_all(daemon, [("POST", "/ide/sync-secrets", SECRETS)])
    assert answer.status == 200
    return answer.body


def with_token(daemon: RunningDaemon, token: str) -> int:
    """Of another user: nothing but the token lets that one in."""
    return ask_all(daemon, POLICY, headers={"Authorization": f"Bearer {token}"}, uid=OTHER_UID)[0].status


def test_it_is_served_without_secrets_until_it_is_accepted(logged_in: Home) -> None:
    """Said in status and log; a revoked token that is in it again lets nobody in; no pass and no unlocking lifts it;
    after a restart it is still so. Accepting is written down, and ends all that."""
    token = older(logged_in)
    value = USER_SECRETS["LLM_KEY"].encode()
    shown = status(logged_in)  # without a daemon
    assert isinstance(shown["lock"], dict)
    assert (shown["state"], shown["lock"]["why"]) == ("locked", "restored")
    for _ in range(2):
        with logged_in.daemon() as daemon:
            eventually(lambda daemon=daemon: "pass:" in daemon.log.read_text())
            assert "an older copy that was put back" in daemon.log.read_text()
            assert value not in llm_key(daemon)
            assert not AS_ROOT or with_token(daemon, token) == 403
            assert "hublet store accept" in logged_in.hublet("status").stdout.decode()
            assert logged_in.hublet("sync").returncode == 0
            logged_in.login(DEMO_KEY)
            assert logged_in.hublet("lock").returncode == 0
            unlocking = logged_in.hublet("unlock")
            assert (unlocking.returncode, b"older copy" in unlocking.stderr) == (2, True)
            refused = logged_in.hublet("token", "--name", "new")
            assert (refused.returncode, b"store accept" in refused.stderr) == (1, True)
            assert value not in llm_key(daemon)
    with logged_in.daemon() as daemon:
        assert logged_in.hublet("store", "accept").returncode == 2  # a pipe has to say --yes
        done = logged_in.hublet("store", "accept", "--yes")
        assert (done.returncode, done.stdout) == (0, b"Accepted.\n")
        assert value in llm_key(daemon)
        assert not AS_ROOT or with_token(daemon, token) == 200
        again = logged_in.hublet("store", "accept", "--yes")
        assert (again.returncode, b"no older copy" in again.stderr) == (1, True)
    lines = [json.loads(line) for line in (logged_in.data / "audit.log").read_text().splitlines()]
    assert [line["outcome"] for line in lines if line["what"] == "store accept"] == [
        "begun",
        "answered",
        "begun",
        "refused",
    ]
    assert status(logged_in)["state"] == "ok"


def test_a_person_is_asked_and_nothing_was_lost(logged_in: Home) -> None:
    """Without a daemon; an honest restore is the only copy."""
    older(logged_in)
    assert "a person at a terminal" in logged_in.hublet("store", "accept").stderr.decode()
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        logged_in.command(*HUBLET, "store", "accept"), env=logged_in.env(), stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        os.write(ours, b"y\n")
        assert process.wait(30) == 0
    os.close(ours)
    shown = status(logged_in)
    assert (shown["state"], shown["logged_in"], shown["lost_records"]) == ("ok", True, 0)
    assert shown["scopes"]


def test_changes_of_key_and_a_reset_are_no_older_copy(logged_in: Home) -> None:
    """Each ends with a cache that opens as the newest one; `keys show` says whether an older one would be noticed."""
    for words in (["keys", "rotate"], ["keys", "move", "file"]):
        done = logged_in.hublet(*words)
        assert done.returncode == 0, done.stderr
        assert status(logged_in)["state"] == "ok"
    assert "noticed when one is put back, by the count" in logged_in.hublet("keys", "show").stdout.decode()
    assert logged_in.hublet("store", "reset", "--yes").returncode == 0
    logged_in.login(DEMO_KEY)
    assert status(logged_in)["state"] == "ok"
    (logged_in.path / "key" / "kek.count").unlink()
    assert logged_in.hublet("sync").returncode == 0
    assert status(logged_in)["state"] == "ok"
    assert (logged_in.path / "key" / "kek.count").exists()


def restored(path: Path) -> None:
    """Put the copy of before in the newest one's place."""
    shutil.rmtree(path / "data")
    (path / "copy").rename(path / "data")


async def newer(path: Path) -> None:
    async with in_process(path) as it:
        await it.log_in()
    shutil.copytree(path / "data", path / "copy")
    async with in_process(path) as it:
        await it.sync.run_pass()
    restored(path)


def state(it: InProcess) -> tuple[bool, bool]:
    return is_restored(it.sync.state.ledger), it.sync.snapshot.locked


@pytest.mark.parametrize("fresh", [False, True])
def test_only_accepting_lifts_it(tmp_path: Path, fresh: bool) -> None:
    """Not the Hub that takes the key, not `lock` and then `unlock`, not another login."""

    async def run() -> None:
        await newer(tmp_path)
        async with in_process(tmp_path) as it:
            admin = Admin(it.service, uid=os.getuid())
            assert state(it) == (True, True)
            for _ in range(3):
                it.clock.advance(3600)
                await it.sync.run_pass()
            await it.sync.lock()
            await it.sync.unlock()
            with pytest.raises(HubletError, match="older copy"):
                await admin.handle("POST", ("unlock",), b"{}")
            body = json.dumps({"key": DEMO_KEY, "fresh": fresh}).encode()
            assert (await admin.handle("POST", ("login",), body)).status == 200
            assert state(it) == (True, True)
            assert (await admin.handle("POST", ("store", "accept"), b"{}")).status == 200
            assert state(it) == (False, False)
        async with in_process(tmp_path) as it:
            assert state(it) == (False, False)

    asyncio.run(run())


def test_where_the_hub_must_agree_accepting_does_not_unlock(tmp_path: Path) -> None:
    """A managed machine: the older copy may be from before the Hub refused the key. The Hub that takes it unlocks."""
    managed = tmp_path / "managed.yaml"
    managed.write_text("unlock_offline: false\n")
    managed.chmod(0o644)

    async def run() -> None:
        await newer(tmp_path)
        async with in_process(tmp_path) as it:
            it.service.managed_file, it.service.managed_owner = managed, os.getuid()
            admin = Admin(it.service, uid=os.getuid())
            response = await admin.handle("POST", ("store", "accept"), b"{}")
            assert isinstance(response.body, bytes)
            assert json.loads(response.body) == {"locked": True}
            assert state(it) == (False, True)
            it.clock.advance(3600)
            await it.sync.run_pass()
            assert state(it) == (False, False)

    asyncio.run(run())
