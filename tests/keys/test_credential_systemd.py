"""The key source `credential` under a real `systemd --user`: LoadCredential in the unit is all that it takes."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.user_systemd import UserManager, user_manager, why_not

pytestmark = [pytest.mark.systemd, pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is one")]

key = os.urandom(32)
CONFIG = """\
hub:
  url: http://localhost:9
serve:
  port: 0
cache:
  directory: {home}/data
  runtime_directory: {home}/run
keys:
  source: {source}
  file: {home}/key/kek
"""
UNIT = """\
[Service]
ExecStart={python} -m hublet.cli.main run
Environment=HUBLET_CONFIG=%h/config.yaml
StandardOutput=append:%h/log
StandardError=append:%h/log
"""
DROP_IN = "[Service]\nLoadCredential=hublet-key:%h/secret/hublet-key\n"


@pytest.fixture(scope="module")
def manager() -> Iterator[UserManager]:
    with user_manager() as running:
        running.write("secret/hublet-key", key, mode=0o400)
        running.write(".config/systemd/user/hublet.service", UNIT.format(python=sys.executable))
        yield running


def configure(manager: UserManager, source: str, *, credential: bool) -> None:
    manager.write("config.yaml", CONFIG.format(home=manager.home, source=source))
    drop_in = manager.write(".config/systemd/user/hublet.service.d/credential.conf", DROP_IN)
    if not credential:
        drop_in.unlink()


def restart(manager: UserManager) -> str:
    """A daemon that listens, whether or not it could open the store; what it logged."""
    log = manager.write("log", "")
    manager.systemctl("daemon-reload")
    manager.systemctl("restart", "hublet.service")
    deadline = time.monotonic() + 20
    while "listening" not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return log.read_text()


def hublet(manager: UserManager, *words: str, fails: int = 0) -> str:
    config = {"HUBLET_CONFIG": str(manager.home / "config.yaml")}
    done = manager.run(sys.executable, "-m", "hublet.cli.main", *words, env=config)
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == fails, said
    return said


def database(manager: UserManager) -> bytes:
    return (manager.home / "data" / "hublet.sqlite3").read_bytes()


def test_a_unit_with_the_credential_opens_its_cache_and_one_without_says_so(manager: UserManager) -> None:
    """From the first start on; no key file is made; a shell, which has no credentials, is told."""
    configure(manager, "credential", credential=True)
    said = restart(manager)
    assert re.search(r"source: +credential", hublet(manager, "keys", "show"))
    assert "logged-out" in hublet(manager, "status")
    assert not (manager.home / "key").exists()
    made = hublet(manager, "keys", "rotate")
    assert "the credential is the administrator's" in made
    manager.systemctl("stop", "hublet.service")

    before = database(manager)
    assert "CREDENTIALS_DIRECTORY is not set" in hublet(manager, "keys", "rotate", fails=7)
    configure(manager, "credential", credential=False)
    said += restart(manager)
    assert "the service manager gives no credentials" in said
    assert "start hublet as a unit with LoadCredential" in hublet(manager, "status")
    manager.systemctl("stop", "hublet.service")
    assert database(manager) == before

    configure(manager, "credential", credential=True)
    said += restart(manager)
    assert "logged-out" in hublet(manager, "status")
    manager.systemctl("stop", "hublet.service")
    assert key.hex() not in said


def test_another_credential_is_not_this_cache_s_key(manager: UserManager) -> None:
    """Up, saying so, and the file untouched."""
    configure(manager, "credential", credential=True)
    restart(manager)
    manager.systemctl("stop", "hublet.service")
    before = database(manager)
    (manager.home / "secret" / "hublet-key").unlink()
    manager.write("secret/hublet-key", bytes(32).hex() + "\n")
    assert "is not this cache's" in restart(manager)
    manager.systemctl("stop", "hublet.service")
    assert database(manager) == before
    (manager.home / "secret" / "hublet-key").unlink()
    manager.write("secret/hublet-key", key)


def test_the_key_moves_from_a_file_to_the_credential_and_back(manager: UserManager) -> None:
    """Through the running unit, the only one that has the credential."""
    for folder in ("data", "key"):
        for file in sorted(Path(manager.home, folder).glob("*")):
            file.unlink()
    configure(manager, "file", credential=True)
    restart(manager)
    assert (manager.home / "key" / "kek").exists()
    assert "set keys.source to credential" in hublet(manager, "keys", "move", "credential")
    assert not (manager.home / "key" / "kek").exists()
    configure(manager, "credential", credential=True)
    restart(manager)
    assert "logged-out" in hublet(manager, "status")
    assert "take it out of the unit" in hublet(manager, "keys", "move", "file")
    configure(manager, "file", credential=False)
    restart(manager)
    assert "logged-out" in hublet(manager, "status")
    manager.systemctl("stop", "hublet.service")
