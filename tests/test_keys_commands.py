"""`hublet keys` with a running daemon and without one: what changes, what is said, and what never shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hublet.demo.server import HubServer
from tests.running import Home, RunningDaemon, eventually

pytestmark = pytest.mark.slow

PASSPHRASE = "canary for a long passphrase"


def said(home: Home, *words: str, fails: int = 0, input: bytes = b"") -> str:
    done = home.hublet("keys", *words, input=input)
    assert done.returncode == fails, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode() + done.stderr.decode()


def shown(home: Home) -> dict[str, object]:
    value = json.loads(said(home, "show", "--json"))
    assert isinstance(value, dict)
    return value


def token_of(home: Home) -> dict[str, str]:
    done = home.hublet("token", "--name", "test")
    assert done.returncode == 0, done.stderr.decode()
    return {"Authorization": f"Bearer {done.stdout.decode().strip()}"}


def icons(body: bytes) -> list[str]:
    return sorted(set(re.findall(r"/icons/[0-9a-f]{32}", body.decode())))


def without_icons(body: bytes) -> bytes:
    return re.sub(rb"/icons/[0-9a-f]{32}", b"", body)


def database(home: Home) -> bytes:
    return (home.data / "hublet.sqlite3").read_bytes()


def configure(home: Home, hub: HubServer, **keys: object) -> None:
    home.configure(hub.url, settings={"keys": keys})


def passphrase_file(home: Home, text: str = PASSPHRASE) -> Path:
    path = home.path / "passphrase"
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    home.own()
    return path


def no_canary(daemon: RunningDaemon, *canaries: bytes) -> None:
    """Not in the log, not in the arguments, not in the environment."""
    process = Path("/proc") / str(daemon.process.pid)
    everything = daemon.log.read_bytes()
    if process.exists():
        everything += (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    for canary in canaries:
        assert canary not in everything
        assert canary.hex().encode() not in everything


def test_a_rotation_loses_no_request_and_everything_is_served_from_the_new_key(logged_in: Home) -> None:
    """The same answers but for the icons' addresses, during it, after it, and after a restart."""
    old = (logged_in.path / "key" / "kek").read_bytes()
    with logged_in.daemon() as daemon:
        headers = token_of(logged_in)

        def answer() -> bytes:
            got = daemon.ask("GET", "/ide/list-assistants", headers=headers)
            assert got.status == 200, got.body
            return got.body

        before = answer()
        assert icons(before)
        answers: list[bytes] = []
        stop = threading.Event()

        def keep_asking() -> None:
            while not stop.is_set():
                answers.append(answer())

        asking = threading.Thread(target=keep_asking)
        asking.start()
        try:
            assert "new key, kept by the file" in said(logged_in, "rotate")
        finally:
            stop.set()
            asking.join()
        after = answer()
        assert answers
        assert {without_icons(body) for body in [before, *answers, after]} == {without_icons(before)}
        assert not set(icons(before)) & set(icons(after))
        assert [daemon.ask("GET", path).status for path in icons(after)[:2]] == [200, 200]
        assert daemon.ask("GET", icons(before)[0]).status == 404
        new = (logged_in.path / "key" / "kek").read_bytes()
        assert new != old
        no_canary(daemon, old, new)
        assert logged_in.hublet("sync").returncode == 0
    with logged_in.daemon() as daemon:
        again = daemon.ask("GET", "/ide/list-assistants", headers=headers).body
        assert icons(again) == icons(after)


def test_a_cache_moves_to_a_passphrase_while_it_is_served(logged_in: Home, hub_server: HubServer) -> None:
    """Then the config has to say it; the passphrase is in no log, argument or variable, and its key file is gone."""
    file = passphrase_file(logged_in)
    configure(logged_in, hub_server, source="file", passphrase_file=file)
    with logged_in.daemon() as daemon:
        assert "set keys.source to passphrase" in said(logged_in, "move", "passphrase")
        value = shown(logged_in)
        assert (value["source"], value["configured"], value["open"]) == ("passphrase", "file", True)
        assert isinstance(value["since"], int)
        no_canary(daemon, PASSPHRASE.encode())
    assert not (logged_in.path / "key" / "kek").exists()
    with logged_in.daemon() as daemon:
        refused = daemon.ask("GET", "/ide/policy", headers={"Authorization": "Bearer x"})
        assert refused.status in (401, 503)
        assert "`hublet keys move file`" in logged_in.hublet("status").stdout.decode()
    configure(logged_in, hub_server, source="passphrase", passphrase_file=file)
    with logged_in.daemon() as daemon:
        assert daemon.ask("GET", "/ide/list-assistants", headers=token_of(logged_in)).status == 200
        no_canary(daemon, PASSPHRASE.encode())


def test_a_passphrase_comes_from_a_descriptor_and_a_wrong_one_touches_nothing(
    home: Home, hub_server: HubServer
) -> None:
    """Standard input is one; a wrong passphrase, or none, is said with its hint, and the store stays byte for byte."""
    configure(home, hub_server, source="passphrase", passphrase_fd=0)

    def status(words: bytes) -> str:
        return home.hublet("status", input=words).stdout.decode()

    assert "logged-out" in status(PASSPHRASE.encode())
    before = database(home)
    wrong = status(b"canary, and wrong")
    assert "the passphrase is wrong" in wrong
    assert "canary" not in wrong
    assert "the passphrase is empty" in status(b"")
    configure(home, hub_server, source="passphrase")
    assert "there is no terminal to ask at" in home.hublet("status").stdout.decode()
    assert database(home) == before
    configure(home, hub_server, source="passphrase", passphrase_fd=0)
    assert "kept by a passphrase" in said(home, "rotate", input=PASSPHRASE.encode())
    assert "the passphrase is wrong" in said(home, "rotate", input=b"another passphrase", fails=7)
    assert "logged-out" in status(PASSPHRASE.encode())


def test_a_daemon_that_lost_its_key_recovers_without_a_restart(logged_in: Home) -> None:
    """503 with the reason until then; the code is shown once, works once, and a slip in it is noticed."""
    done = logged_in.hublet("keys", "escrow")
    code = done.stdout.decode().strip()
    assert re.fullmatch(r"([A-Z2-7]{4}-){13}[A-Z2-7]{4}", code)
    assert code not in done.stderr.decode()
    assert shown(logged_in)["escrow"] == "present"
    assert code not in said(logged_in, "show")
    with logged_in.daemon() as daemon:
        headers = token_of(logged_in)
    kek = logged_in.path / "key" / "kek"
    kek.unlink()
    before = database(logged_in)
    with logged_in.daemon() as daemon:
        assert daemon.ask("GET", "/readyz").status == 503
        assert "hublet keys recover" in logged_in.hublet("status").stdout.decode()
        slip = ("B" if code[0] == "A" else "A") + code[1:]
        assert "typing error" in said(logged_in, "recover", fails=2, input=slip.encode())
        assert database(logged_in) == before
        assert "The recovery code is void" in said(logged_in, "recover", input=code.lower().encode())
        assert daemon.ask("GET", "/ide/list-assistants", headers=headers).status == 200
        eventually(lambda: "pass:" in daemon.log.read_text())
        assert shown(logged_in)["escrow"] == "void"
        assert "nothing has to be recovered" in said(logged_in, "recover", input=code.encode(), fails=7)
        no_canary(daemon, code.encode(), code[:9].encode(), kek.read_bytes())
    kek.unlink()
    assert "the recovery code is void" in said(logged_in, "recover", input=code.encode(), fails=7)


def test_without_a_cache_there_is_nothing_to_look_after(home: Home) -> None:
    """And looking does not make one."""
    assert "There is no cache yet" in said(home, "show")
    for words in (("rotate",), ("escrow",), ("move", "passphrase")):
        assert said(home, *words, fails=3 if words != ("move", "passphrase") else 7)
    assert not home.data.exists()


def test_the_config_s_source_has_to_be_the_one_of_the_cache(logged_in: Home, hub_server: HubServer) -> None:
    """Never a step down, nor up: the error names the command that moves it, and that command works."""
    file = passphrase_file(logged_in)
    before = database(logged_in)
    for source in ("keyring", "credential", "passphrase"):
        configure(logged_in, hub_server, source=source, passphrase_file=file)
        status = logged_in.hublet("status").stdout.decode()
        assert f"sealed with the key source file, the config says {source}" in status
        assert f"`hublet keys move {source}`" in status
    assert database(logged_in) == before
    said(logged_in, "move", "passphrase")
    assert "unavailable" not in logged_in.hublet("status").stdout.decode()
    assert shown(logged_in)["left_behind"] is None


def test_a_key_that_is_in_the_place_already_is_not_overwritten(logged_in: Home, hub_server: HubServer) -> None:
    """It may be another cache's."""
    configure(logged_in, hub_server, source="file", passphrase_file=passphrase_file(logged_in))
    kek = logged_in.path / "key" / "kek"
    said(logged_in, "move", "passphrase")
    kek.touch(mode=0o600)
    kek.write_bytes(bytes(32))
    logged_in.own()
    assert shown(logged_in)["left_behind"] == str(kek)
    before = database(logged_in)
    assert "holds a key already" in said(logged_in, "move", "file", fails=7)
    assert (kek.read_bytes(), database(logged_in)) == (bytes(32), before)


def test_a_key_that_was_lost_while_the_cache_is_open_is_made_anew(logged_in: Home) -> None:
    """rotate says that something is wrong; moving to the same source repairs it."""
    kek = logged_in.path / "key" / "kek"
    with logged_in.daemon():
        kek.unlink()
        assert "hublet keys move file" in said(logged_in, "rotate", fails=7)
        said(logged_in, "move", "file")
    assert kek.stat().st_size == 32
    assert "unavailable" not in logged_in.hublet("status").stdout.decode()


def test_a_source_that_is_not_used_is_not_imported() -> None:
    """A daemon with a key file knows nothing of keyrings, passphrases and credentials."""
    code = (
        "import sys; import hublet.daemon, hublet.cli.main, hublet.cli.client;"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('keyring', 'getpass', 'jeepney')"
        " or name.startswith('hublet.keys.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "['hublet.keys.asking', 'hublet.keys.private', 'hublet.keys.source']"


@pytest.mark.parametrize("words", [("move",), ("move", "elsewhere"), ("rotate", "now")])
def test_a_command_that_makes_no_sense_is_refused(home: Home, words: tuple[str, ...]) -> None:
    """By its usage."""
    assert "Usage" in said(home, *words, fails=2)
