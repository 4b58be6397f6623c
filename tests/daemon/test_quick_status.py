"""Commands are quick because they load little: what `hublet status` may load is listed, and it finds the daemon anyway;
what the help and a press of TAB may not."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import platformdirs
import pytest

from hublet.cli.main import _COMMANDS
from hublet.config.loading import find_config, load_config
from hublet.config.locating import usual_socket
from hublet.core.errors import ConfigError, HubletError
from hublet.demo.data import DEMO_KEY
from hublet.demo.server import HubServer
from tests.running import HUBLET, Home

HEAVY = {
    "asyncio", "cryptography", "dataclasses", "email", "hublet.config.loading", "hublet.daemon", "hublet.opening",
    "http.client", "httpx", "orjson", "platformdirs", "rich", "sqlite3", "ssl", "yaml",
}  # fmt: skip
"""None of these, nor anything below them."""

OURS = {
    "hublet", "hublet.cli", "hublet.cli.client", "hublet.cli.main", "hublet.cli.printing",
    "hublet.cli.status", "hublet.core", "hublet.core.errors", "hublet.core.units", "hublet.host",
    "hublet.host.hardening", "hublet.config", "hublet.config.locating", "hublet.reaching",
}  # fmt: skip
"""Of hublet itself no more than this."""

ON_THE_WAY = {
    "asyncio", "cryptography", "email", "http", "httpx", "hublet.config.loading", "hublet.core.state", "hublet.daemon",
    "hublet.opening", "hublet.serve", "hublet.store", "hublet.upstream", "logging", "orjson", "platformdirs", "rich",
    "sqlite3", "ssl", "subprocess", "urllib.request", "yaml",
}  # fmt: skip
"""What commands load when they are called, and none of them before: the help and a completion look at all of them."""

_LIST = """
import sys
import click
baseline = set(sys.modules)
sys.argv = ["hublet", *sys.argv[1:]]
from hublet.cli.main import main
try:
    main()
finally:
    print(*sorted(set(sys.modules) - baseline), sep="\\n", file=sys.stderr)
"""


@pytest.fixture
def home(tmp_path: Path, hub_server: HubServer) -> Home:
    """Its runtime directory is the session's, as on a desktop, and not said by the config."""
    home = Home.make(tmp_path / "home", hub_server.url)
    home.leave_to_session()
    return home


def test_status_loads_no_more_than_it_needs(home: Home) -> None:
    """Beside click: a JSON reader, sockets, and a few modules of ours; no table drawer, HTTP client, YAML or cache."""
    with home.daemon(env={"CONTINUE_API_KEY": DEMO_KEY}):
        done = home.python("-c", _LIST, "status")
        assert done.returncode == 0, done.stderr.decode()
        assert b"serving http://localhost:" in done.stdout
        loaded = set(done.stderr.decode().split())
    assert "hublet.cli.status" in loaded
    assert {name for name in loaded if {name, name.split(".")[0]} & HEAVY} == set()
    assert {name for name in loaded if name.split(".")[0] == "hublet"} <= OURS
    assert len(loaded) < 60, sorted(loaded)


@pytest.mark.parametrize("how", ["help", "completion"])
def test_a_look_at_all_commands_loads_what_none_of_them_works_with(home: Home, how: str) -> None:
    """Each is imported for a line about it: one that brings its work along would slow them all."""
    if how == "completion":
        home.environment |= {"_HUBLET_COMPLETE": "bash_complete", "COMP_WORDS": "hublet ", "COMP_CWORD": "1"}
    done = home.python("-c", _LIST, *(["--help"] if how == "help" else []))
    assert b"quarantine" in done.stdout
    loaded = set(done.stderr.decode().split())
    assert {module for module, _ in _COMMANDS.values()} <= loaded
    heavy = {name for name in loaded for part in ON_THE_WAY if name == part or name.startswith(f"{part}.")}
    assert heavy == set()
    assert len(loaded) < 120, sorted(loaded)


def test_without_a_daemon_at_its_usual_place_the_config_leads_on(home: Home) -> None:
    """The same answer, from the store itself; and a config with a mistake is said."""
    done = home.hublet("status", "--json")
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["running_daemon"] is False
    home.config.write_text("hub:\n  nonsense: 1\n")
    home.own()
    refused = home.hublet("status")
    assert refused.returncode == 2
    assert "hub.nonsense" in refused.stderr.decode()


@pytest.mark.parametrize("where", ["usual", "elsewhere"])
def test_the_running_daemon_is_asked_wherever_it_is(home: Home, where: str) -> None:
    """At the session's usual place, or where the config puts it."""
    if where == "elsewhere":
        text = home.config.read_text()
        home.config.write_text(text.replace("cache:\n", f"cache:\n  runtime_directory: {home.runtime}\n"))
        home.own()
    with home.daemon(env={"CONTINUE_API_KEY": DEMO_KEY}):
        assert (home.runtime / "admin.sock").exists() is (where == "elsewhere")
        assert json.loads(home.hublet("status", "--json").stdout)["running_daemon"] is True


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("", True),
        ("serve:\n  port: 3002\n", True),
        ("cache:\n  directory: /data\n", True),
        ("cache:\n  # runtime_directory: /elsewhere\n  runtime_directory: null  # the usual\n", True),
        ("cache:\n  runtime_directory:\n", False),
        ("cache:\n  runtime_directory: null\n    /elsewhere\n", True),
        ("cache:\n  runtime_directory: ~\n    /elsewhere\n", True),
        ("cache:\n  runtime_directory: ~\n", True),
        ("cache:\n  runtime_directory: /elsewhere\n", False),
        ("cache: {runtime_directory: /elsewhere}\n", False),
        ("cache:\n  'runtime_directory': /elsewhere\n", False),
        ('cache:\n  "runtime\\x5fdirectory": /elsewhere\n', False),
        ("cache:\n  ? runtime_directory\n  : /elsewhere\n", False),
        ("cache:\n  runtime_directory:\n    /elsewhere\n", False),
        ("x" * 70000, False),
    ],
)
def test_the_usual_place_is_only_taken_where_the_config_surely_means_it(
    tmp_path: Path, text: str, usual: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held against the real reader: whenever the quick one says a place, the real one says the same or refuses."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    file = tmp_path / "config.yaml"
    file.touch(mode=0o600)
    file.write_text(text)
    quick = usual_socket(file, os.environ)
    assert (quick is not None) is usual
    try:
        really = load_config(file).locate().admin_socket
    except ConfigError:
        return
    assert quick in (None, really)


@pytest.mark.skipif(sys.platform != "linux", reason="the quick way knows Linux's places only")
def test_the_quick_way_looks_for_the_config_where_the_real_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By --config, by HUBLET_CONFIG, at the platform's place; one that is named and not there is nobody's guess."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    elsewhere = "cache:\n  runtime_directory: /elsewhere\n"
    for name, value in (("XDG_CONFIG_HOME", str(tmp_path / "xdg")), ("XDG_CONFIG_HOME", ""), ("HUBLET_CONFIG", "")):
        monkeypatch.setenv(name, value)
        place = platformdirs.user_config_path("hublet", appauthor=False) / "config.yaml"
        place.parent.mkdir(parents=True)
        assert usual_socket(None, os.environ) == tmp_path / "hublet" / "admin.sock"
        place.write_text(elsewhere)
        assert find_config(None, os.environ) == place
        assert usual_socket(None, os.environ) is None
        place.unlink()
        place.parent.rmdir()
    named = tmp_path / "named.yaml"
    for flag, environment in ((named, {}), (None, {"HUBLET_CONFIG": str(named)})):
        assert usual_socket(flag, {**os.environ, **environment}) is None
        with pytest.raises(HubletError):
            find_config(flag, environment)


def test_status_in_a_pipe_and_on_a_terminal_has_no_colours(home: Home) -> None:
    """Nothing to switch off: its columns are spaces."""
    with home.daemon(env={"CONTINUE_API_KEY": DEMO_KEY}):
        done = home.start_and_wait([*HUBLET, "sync"])
        assert done.returncode == 0
        said = home.start_and_wait([*HUBLET, "status"], env={"FORCE_COLOR": "1", "TERM": "xterm-256color"}).stdout
    assert b"\x1b" not in said
    assert b"dana/rust-smith" in said
