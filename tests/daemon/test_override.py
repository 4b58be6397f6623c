"""A running daemon that asks the user's own command first, and one that holds what would run something else."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from hublet.demo.data import USER_SECRETS
from hublet.demo.server import HubServer
from tests.daemon.asking import ask_all, files_below, names, status
from tests.running import Home, RunningDaemon, eventually

OWN = "canary-own-3be71f88"
LIST = ("GET", "/ide/list-assistants", None)
VAULT = f"""\
import os, pathlib, sys, time
place = pathlib.Path(sys.argv[1])
with (place / "asked").open("a") as file:
    file.write(f"{{sys.argv[2]}} {{sorted(set(os.environ) - {{'LC_CTYPE'}})}}\\n")
if (place / "hang").exists():
    time.sleep(60)
if sys.argv[2] != "PG_PASSWORD":
    sys.exit(3)
print("{OWN}")
"""


@pytest.fixture
def home(tmp_path: Path, template: Home) -> Home:
    shutil.copytree(template.path, tmp_path / "home")
    return Home(tmp_path / "home")


def with_command(home: Home, hub: HubServer, **more: object) -> None:
    (home.path / "vault.py").write_text(VAULT)
    words = json.dumps([sys.executable, str(home.path / "vault.py"), str(home.path), "{name}"])
    home.configure(hub.url, settings={"secrets": {"override": words, "override_environment": "[HOME]", **more}})


def synced(daemon: RunningDaemon) -> None:
    eventually(lambda: " hublet: pass: " in daemon.log.read_text())


def test_a_command_answers_first_and_its_value_is_kept_nowhere(home: Home, hub: HubServer) -> None:
    """From the first answer on; `hublet secrets` says so, status what it did not have; disk and log know nothing."""
    with_command(home, hub)
    with home.daemon() as daemon:
        configs, secrets = ask_all(daemon, [LIST, ("POST", "/ide/sync-secrets", names(("dana/x", "PG_PASSWORD")))])
        assert OWN in configs.body.decode()
        assert USER_SECRETS["PG_PASSWORD"] not in configs.body.decode()
        assert secrets.json()[0]["value"] == OWN  # type: ignore[index]
        synced(daemon)
        shown = json.loads(home.hublet("secrets", "--json").stdout)["secrets"]
        assert {one["state"] for one in shown if one["name"] == "PG_PASSWORD"} == {"overridden"}
        override = status(home)["override"]
        assert isinstance(override, dict)
        assert (override["source"], override["names"]) == ("command", 1)
        assert "ended with 3 for ACME_" in override["problems"][0]
        assert "secrets.override: " in home.hublet("status").stdout.decode()
        asked = (home.path / "asked").read_text()
        assert "PG_PASSWORD ['HOME']\n" in asked
        (home.path / "asked").unlink()
        ask_all(daemon, [LIST] * 3)
        assert not (home.path / "asked").exists(), "no command is run for an answer"
        assert daemon.stop() == 0
        everything = b"".join(files_below(home.data, home.runtime).values()) + daemon.log.read_bytes()
        assert OWN.encode() not in everything


def test_a_command_that_hangs_is_an_error_in_status(home: Home, hub: HubServer) -> None:
    """The daemon is up after one time limit, and serves what the Hub said."""
    with_command(home, hub, override_timeout="1s")
    (home.path / "hang").touch()
    with home.daemon() as daemon:
        (answer,) = ask_all(daemon, [LIST])
        assert USER_SECRETS["PG_PASSWORD"] in answer.body.decode()
        override = status(home)["override"]
        assert isinstance(override, dict)
        assert "took longer than 1 s" in override["problems"][0]


def test_what_runs_something_else_is_held_until_it_is_accepted(home: Home, hub: HubServer) -> None:
    """Said by `hublet sync`, `status` and the log; the old command is served until then, `quarantine` shows both."""
    home.configure(hub.url, settings={"sync": {"hold_commands": True}})
    with home.daemon() as daemon:
        synced(daemon)
        hub.hub.edit_assistant("dana/data-desk", "command: npx", "command: /tmp/evil")
        try:
            said = home.hublet("sync").stderr.decode()
            line = "mcpServers Postgres: command: npx → /tmp/evil"
            assert f"dana/data-desk is held: {line}" in said
            assert "/tmp/evil" not in ask_all(daemon, [LIST])[0].body.decode()
            assert "dana/data-desk (1 changed)" in home.hublet("status").stdout.decode()
            shown = home.hublet("quarantine").stdout.decode()
            assert f"dana/data-desk: changes what it runs or where it sends things\n  {line}\n" in shown
            accepted = home.hublet("quarantine", "accept", "dana/data-desk")
            assert accepted.returncode == 0, accepted.stderr.decode()
            assert "/tmp/evil" in ask_all(daemon, [LIST])[0].body.decode()
            assert "Nothing is in quarantine" in home.hublet("quarantine").stdout.decode()
            assert f"dana/data-desk, 0 s ago: {line}" in home.hublet("status").stdout.decode().replace("1 s", "0 s")
        finally:
            hub.hub.edit_assistant("dana/data-desk", "command: /tmp/evil", "command: npx")
        assert home.hublet("sync").returncode == 0
        assert "/tmp/evil" in ask_all(daemon, [LIST])[0].body.decode(), "the way back is a change, too"
