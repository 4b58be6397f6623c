"""A hardened daemon whose key is in a real gnome-keyring: locked, unlocked, moved away, forgotten; and its offer."""

from __future__ import annotations

import os
import pty
import pwd
import re
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.server import HubServer
from tests.daemon.asking import ask_all, message, status
from tests.keys.secret_service import SecretService, secret_service, why_not
from tests.running import AS_ROOT, HUBLET, THROWAWAY_UID, Home, eventually

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is one")]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecretService]:
    place = tmp_path_factory.mktemp("session")
    place.chmod(0o755)
    with known_by_name(THROWAWAY_UID), secret_service(place / "home", THROWAWAY_UID) as running:
        yield running


@contextmanager
def known_by_name(uid: int) -> Iterator[None]:
    """A bus lets nobody in who is not in the list of users. Who is in it already, by a run that was killed, stays."""
    if not AS_ROOT or is_known(uid):
        yield
        return
    name = f"hublet{uid}"
    subprocess.run(["useradd", "--no-create-home", "--uid", str(uid), name], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["userdel", "--force", name], check=True, capture_output=True)


def is_known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def joining(home: Home, session: SecretService) -> None:
    """From now on this home's programs are in the session; its own home stays its own."""
    wanted = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")
    home.environment |= {name: session.environment[name] for name in wanted}


@pytest.fixture
def home(tmp_path: Path, hub: HubServer, session: SecretService) -> Home:
    """In the session, not logged in; the config says keyring."""
    home = Home.make(tmp_path / "home", hub.url, settings={"keys": {"source": "keyring"}})
    joining(home, session)
    return home


def entries(home: Home, session: SecretService) -> list[str]:
    """What the keyring holds of this home's cache, by the ends of its accounts."""
    found = re.search(r"cache-[0-9a-f]{16}", home.hublet("keys", "show").stdout.decode())
    assert found
    return [label.split("'")[1].removeprefix(found[0]) for label in session.labels() if found[0] in label]


def test_a_daemon_that_starts_before_the_keyring_is_unlocked_opens_by_itself(
    home: Home, session: SecretService
) -> None:
    """503 with the reason until then; the next command finds it unlocked, without a restart, and nobody is prompted."""
    home.login(DEMO_KEY)
    assert entries(home, session) == ["", ".count"]
    assert not (home.path / "key").exists()
    session.lock()
    with home.daemon() as daemon:
        said = message(ask_all(daemon)[0])
        assert "the keyring is locked" in said
        assert "the keyring is locked" in home.hublet("status").stdout.decode()
        session.unlock()
        assert status(home)["state"] in ("ok", "starting")
        assert ask_all(daemon)[0].status == 200
        assert "the cache is open" in daemon.log.read_text()
        assert ask_all(daemon)[0].status == 200
        assert daemon.stop() == 0


def test_an_older_copy_is_noticed_by_the_count_in_the_keyring(home: Home) -> None:
    """Written at the end of a command and of a daemon."""
    import shutil

    home.login(DEMO_KEY)
    copy = shutil.copytree(home.data, home.path / "copy")
    assert home.hublet("sync").returncode == 0
    shutil.rmtree(home.data)
    shutil.copytree(copy, home.data)
    home.own()
    assert isinstance(lock := status(home)["lock"], dict)
    assert lock["why"] == "restored"
    assert home.hublet("store", "accept", "--yes").returncode == 0
    assert status(home)["state"] == "ok"


def test_an_entry_that_could_not_be_removed_is_named(home: Home, hub: HubServer, session: SecretService) -> None:
    """By the answer of the move, and by `keys show` from then on, until it is gone; `forget` takes it too."""
    home.login(DEMO_KEY)
    account = re.search(r"cache-[0-9a-f]{16}", home.hublet("keys", "show").stdout.decode())
    assert account
    with home.daemon() as daemon:
        eventually(lambda: "pass:" in daemon.log.read_text())
        session.lock()
        moved = home.hublet("keys", "move", "file")
        assert moved.returncode == 0, moved.stderr.decode()
        assert f"the old key is still there, the keyring's entry hublet, {account[0]}" in moved.stdout.decode()
        said = home.hublet("keys", "show").stdout.decode()
        assert f"may still be there, which can't be told now: the keyring's entry hublet, {account[0]}" in said
    home.configure(hub.url)
    session.unlock()
    assert home.hublet("keys", "rotate").returncode == 0
    said = home.hublet("keys", "show").stdout.decode()
    assert f"is still there: the keyring's entry hublet, {account[0]}" in said
    assert [label for label in session.labels() if account[0] in label]
    assert home.hublet("forget", "--yes").returncode == 0
    assert not [label for label in session.labels() if account[0] in label]


def test_forgetting_needs_the_keyring_unlocked_to_remove_its_entry(home: Home, session: SecretService) -> None:
    """The data key is destroyed all the same; a second attempt ends it; then a login makes a new entry."""
    home.login(DEMO_KEY)
    account = re.search(r"cache-[0-9a-f]{16}", home.hublet("keys", "show").stdout.decode())
    assert account
    with home.daemon() as daemon:
        session.lock()
        failed = home.hublet("forget", "--yes", timeout=100)
        assert failed.returncode == 7, failed.stderr
        assert b"nothing opens the cache any more" in failed.stderr
        session.unlock()
        assert home.hublet("forget", "--yes").returncode == 0
        assert not [label for label in session.labels() if account[0] in label]
        assert "the cache was forgotten" in message(ask_all(daemon)[0])
        home.login(DEMO_KEY)
        assert ask_all(daemon)[0].status == 200
        assert account[0] not in home.hublet("keys", "show").stdout.decode()


# The offer


@pytest.fixture
def bare(tmp_path: Path, hub: HubServer, session: SecretService) -> Home:
    """A home without a config file: everything is where the platform has it."""
    home = Home(tmp_path / "home")
    home.path.mkdir(mode=0o755)
    home.own()
    joining(home, session)
    return home


def env(home: Home) -> dict[str, str]:
    found = home.env()
    del found["HUBLET_CONFIG"]
    return found


def at_terminal(home: Home, typed: dict[bytes, bytes], *words: str, environment: dict[str, str]) -> str:
    """What a command says to a person who answers each prompt when it comes; `typed` is by prompt."""
    ours, theirs = pty.openpty()
    said, waiting = b"", dict(typed)
    process = subprocess.Popen(
        home.command(*HUBLET, *words), env=environment, stdin=theirs, stdout=theirs, stderr=theirs, cwd=home.path
    )
    os.close(theirs)
    try:
        while select.select([ours], [], [], 40)[0]:
            try:
                said += os.read(ours, 4096)
            except OSError:
                break
            for prompt in [prompt for prompt in waiting if prompt in said]:
                os.write(ours, waiting.pop(prompt))
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return said.decode()


KEY = {b"Hub key": f"{DEMO_KEY}\n".encode()}


def test_a_login_offers_the_keyring_first_and_writes_the_choice_down(bare: Home, session: SecretService) -> None:
    """Where there is no config file: one with just that key, the user's alone. The key never lies in a file."""
    proxy = env(bare) | {"HTTPS_PROXY": "http://127.0.0.1:9"}
    said = at_terminal(bare, KEY | {b"[Y/n]": b"\n"}, "login", environment=proxy)
    assert "Seal the cache with a key in your session's keyring? [Y/n]" in said
    config = bare.path / ".config" / "hublet" / "config.yaml"
    assert config.read_text() == "keys:\n  source: keyring\n"
    assert config.stat().st_mode & 0o777 == 0o600
    shown = bare.hublet("keys", "show", env={"HUBLET_CONFIG": str(config)}).stdout.decode()
    assert "source:        keyring" in shown
    assert not list(bare.path.rglob("kek"))


def test_a_no_keeps_the_file_and_asks_no_more(bare: Home) -> None:
    """A later login only says how to change one's mind."""
    proxy = env(bare) | {"HTTPS_PROXY": "http://127.0.0.1:9"}
    at_terminal(bare, KEY | {b"[Y/n]": b"n\n"}, "login", environment=proxy)
    assert list(bare.path.rglob("kek"))
    assert not (bare.path / ".config" / "hublet").exists()
    said = at_terminal(bare, KEY, "login", environment=proxy)
    assert "Seal the cache" not in said
    assert "`hublet keys move keyring`" in said


def test_a_config_that_is_there_is_not_written_and_a_pipe_is_not_asked(
    tmp_path: Path, hub: HubServer, session: SecretService
) -> None:
    """Both are told how."""
    home = Home.make(tmp_path / "home", hub.url)
    before = home.config.read_bytes()
    joining(home, session)
    done = home.hublet("login", input=DEMO_KEY.encode())
    assert done.returncode == 0, done.stderr
    assert b"`hublet keys move keyring`" in done.stderr
    assert home.hublet("forget", "--yes").returncode == 0
    said = at_terminal(home, KEY, "login", environment=home.env())
    assert f"`keys.source: keyring` in {home.config}" in said.replace("\r\n", " ")
    assert home.config.read_bytes() == before


def test_a_locked_keyring_is_not_offered_and_nobody_is_prompted(
    tmp_path: Path, hub: HubServer, session: SecretService
) -> None:
    home = Home.make(tmp_path / "home", hub.url)
    joining(home, session)
    session.lock()
    try:
        done = home.hublet("login", input=DEMO_KEY.encode())
        assert (done.returncode, b"keyring" in done.stderr) == (0, False)
    finally:
        session.unlock()
