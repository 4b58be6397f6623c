"""Commands before all is ready: no key, another Hub, a config with mistakes; and the help of every command."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.daemon.asking import status
from tests.running import Home, eventually


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Home:
    place = tmp_path_factory.mktemp("empty")
    place.chmod(0o755)
    return Home.make(place / "home", hub.url)


def test_without_a_key_sync_says_what_to_do(empty: Home) -> None:
    done = empty.hublet("sync")
    assert done.returncode == 12
    assert b"no key is stored: run `hublet login`" in done.stderr
    assert b"not logged in: run `hublet login`" in empty.hublet("status").stdout
    assert status(empty)["state"] == "logged-out"


def test_a_refused_login_stores_nothing(empty: Home) -> None:
    done = empty.hublet("login", input=b"sk-proj-8842-not-a-hub-key")
    assert done.returncode == 11
    assert done.stderr.decode().splitlines()[0] == "hublet: that is not a Hub key: keys begin with con_"
    assert b"sk-proj-8842" not in done.stdout + done.stderr
    assert status(empty)["logged_in"] is False


def test_the_key_of_the_environment_comes_first_and_is_not_stored(tmp_path: Path, hub: HubServer) -> None:
    """CONTINUE_API_KEY is used in place of the stored key, by commands and by a daemon that was started with it."""
    home = Home.make(tmp_path / "home", hub.url)
    home.hublet("login", input=b"con_stored_but_unknown_to_the_hub")
    assert home.hublet("sync").returncode == 12  # answered 401 throughout
    ours = {"CONTINUE_API_KEY": DEMO_KEY}
    done = home.hublet("sync", env=ours)
    assert done.returncode == 0, done.stderr.decode()
    value = json.loads(home.hublet("status", "--json", env=ours).stdout)
    assert value["key_from_environment"] is True
    assert status(home)["key_from_environment"] is False
    with home.daemon(env=ours) as daemon:
        eventually(lambda: " hublet: pass: " in daemon.log.read_text())
        assert status(home)["key_from_environment"] is True
        assert re.search(r"pass: (\d+) of \1 answered", daemon.log.read_text())
    assert home.hublet("sync").returncode == 12


def test_a_key_of_the_environment_that_is_none_is_refused(tmp_path: Path) -> None:
    home = Home.make(tmp_path / "home", "http://127.0.0.1:9")
    for words in (("status",), ("run",)):
        done = home.hublet(*words, env={"CONTINUE_API_KEY": "sk-live-77"})
        assert done.returncode == 11
        assert b"CONTINUE_API_KEY" in done.stderr
        assert b"sk-live-77" not in done.stderr
        assert b"Traceback" not in done.stderr


def test_the_key_stays_with_its_hub(tmp_path: Path, hub: HubServer) -> None:
    """With another hub.url the stored key is not used: another login is needed, which the daemon says."""
    home = Home.make(tmp_path / "home", hub.url)
    home.login(DEMO_KEY)
    with HubServer(Hub()) as other:
        home.configure(other.url)
        done = home.hublet("sync")
        assert done.returncode == 12
        assert b"run `hublet login`" in done.stderr
        assert other.hub.requests == []
        home.login(DEMO_KEY)
        assert other.hub.requests != []


def test_all_problems_of_a_config_come_at_once_and_nothing_starts(tmp_path: Path) -> None:
    """Each with file, line and key; exit code 2 from whatever command; no directory is made."""
    home = Home.make(tmp_path / "home", "http://127.0.0.1:9")
    home.config.write_text(
        "hub:\n  url: http://hub.example\n  timeout: soon\nsync:\n  evry: 15m\n  proxied: maybe\nserv:\n  port: 1\n"
    )
    for words in (("config", "check"), ("run",), ("sync",), ("status",), ("login",), ("token", "list")):
        done = home.hublet(*words, input=b"con_x")
        assert done.returncode == 2, words
        said = done.stderr.decode()
        for line, key in ((2, "hub.url"), (3, "hub.timeout"), (5, "sync.evry"), (6, "sync.proxied"), (7, "serv")):
            assert f"{home.config}:{line}: {key}: " in said, said
        assert "did you mean every?" in said
        assert "Traceback" not in said
        assert done.stdout == b""
    assert not home.data.exists()
    assert not home.runtime.exists()


def test_a_good_config_is_said_to_be_good(empty: Home) -> None:
    done = empty.hublet("config", "check")
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[-1] == "ok"
    assert str(empty.config) in done.stdout.decode()
    missing = empty.hublet("--config", "/nowhere/hublet.yaml", "config", "check")
    assert missing.returncode == 2
    assert b"/nowhere/hublet.yaml" in missing.stderr


def _commands(group: click.Group, ctx: click.Context, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from _commands(command, ctx, (*path, name))
        else:
            yield (*path, name)


def test_every_command_has_help() -> None:
    """Also those that are not named here: whatever the program lists. In process, since it is one for each command."""
    from click.testing import CliRunner

    from hublet.cli.main import cli

    found = list(_commands(cli, click.Context(cli)))
    assert {(), ("sync",), ("status",), ("login",), ("token", "revoke"), ("config", "check"), ("demo",)} <= set(found)
    for words in found:
        for flag in ("--help", "-h"):
            result = CliRunner().invoke(cli, [*words, flag])
            assert result.exit_code == 0, words
            assert result.output.startswith("Usage: ")
            assert len(result.output.splitlines()) > 3, words


@pytest.mark.parametrize(
    ("words", "code"), [((), 2), (("no-such-command",), 2), (("sync", "--no-such-option"), 2), (("--version",), 0)]
)
def test_the_program_itself(empty: Home, words: tuple[str, ...], code: int) -> None:
    done = empty.hublet(*words)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert done.stdout or done.stderr
