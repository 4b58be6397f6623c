"""The audit log of a real daemon: what stands in it, what does not, and how it is read."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hublet.opening
from hublet.config.loading import parse_config
from hublet.demo.data import DEMO_KEY, USER_SECRETS
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from hublet.door.audit import Syslog, Who
from hublet.opening import open_service
from tests.daemon.asking import CACHED, EVERYTHING, ask_all
from tests.running import AS_ROOT, OTHER_UID, Home, RunningDaemon, eventually


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with HubServer(Hub()) as hub:
        home = Home.make(tmp_path / "home", hub.url)
        home.login(DEMO_KEY)
        yield home


def audit(home: Home, *words: str) -> list[dict[str, Any]]:
    """What `hublet audit --json` prints."""
    done = home.hublet("audit", "--json", *words)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def settled(daemon: RunningDaemon) -> None:
    eventually(lambda: " hublet: pass: " in daemon.log.read_text())


def test_what_was_asked_is_told_by_name_and_written_without_one(home: Home) -> None:
    """`hublet audit` knows the names; the file has ids, no name, no value, no credential, and is ours alone."""
    with home.daemon() as daemon:
        settled(daemon)
        ask_all(daemon, EVERYTHING, headers={"Authorization": "Bearer con_canary"})
        made = home.hublet("token", "--name", "zed").stdout.decode().strip()
        ask_all(daemon, CACHED, headers={"Authorization": f"Bearer {made}"})
        lines = audit(home)
    asked = [line for line in lines if line["what"] == "get-assistant" and line["who"] == "same-user"]
    assert {name for line in asked for name in line["names"]} == {
        "dana/rust-smith", "acme/backend-reviewer", "continuedev/default-cli-config",
    }  # fmt: skip
    assert {line["scope"] for line in asked} == {"personal", "organization"}
    secrets = [line for line in lines if line["what"] == "sync-secrets"]
    assert any("secret dana/local-chat/LLM_KEY" in line["names"] for line in secrets)
    assert {line["uid"] for line in asked} == ({home.uid} if AS_ROOT else {home.path.stat().st_uid})
    assert [line["what"] for line in lines if line["who"] == "token:zed"]
    files = sorted(home.data.glob("audit.log*"))
    assert [file.name for file in files] == ["audit.log"]
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600
    text = files[0].read_text()
    names = ("dana", "rust-smith", "acme", "backend-reviewer", "default-cli-config", "LLM_KEY", "org_acme")
    values = [value for value in USER_SECRETS.values() if len(value) > 8]
    assert [word for word in (*names, *values, made, DEMO_KEY, "con_canary") if word in text] == []


def test_admin_actions_are_on_the_disk_when_they_are_answered(home: Home) -> None:
    """A daemon that is killed then has lost none of them; of what clients asked, it may lose the last half minute."""
    with home.daemon() as daemon:
        settled(daemon)
        home.hublet("token", "--name", "zed")
        home.hublet("lock")
        ask_all(daemon, CACHED)
        daemon.stop(signal.SIGKILL)
    lines = [json.loads(line) for line in (home.data / "audit.log").read_text().splitlines()]
    actions = [(line["what"], line["outcome"], line.get("about", "")) for line in lines if line["door"] == "admin"]
    assert actions[-3:] == [("token make", "begun", "zed"), ("token make", "answered", "zed"), ("lock", "answered", "")]
    assert all(line["pid"] > 0 and line["program"] for line in lines if line["door"] == "admin")
    assert not [line for line in lines if line["what"] == "list-assistants"]


_GET = """
import os, sys
from hublet.cli.client import connected
from hublet.config.loading import find_config, load_config
with connected(load_config(find_config(None, os.environ))) as client:
    print(client.call("POST", "/secrets/get", {"name": sys.argv[1]})["value"])
"""


def test_whose_value_was_told_is_known_by_an_id(home: Home) -> None:
    """Before it is told, and what came of it; the file has neither its name nor its value."""
    with home.daemon() as daemon:
        settled(daemon)
        assert home.python("-c", _GET, "LLM_KEY").stdout.decode().strip() == USER_SECRETS["LLM_KEY"]
        assert home.python("-c", _GET, "NO_SUCH").returncode != 0
        lines = [line for line in audit(home) if line["what"] == "secrets get"]
    assert [(line["outcome"], line["names"]) for line in lines[:2]] == [
        ("begun", ["secret LLM_KEY"]), ("answered", ["secret LLM_KEY"]),
    ]  # fmt: skip
    assert [line["outcome"] for line in lines[2:]] == ["begun", "refused"]
    text = (home.data / "audit.log").read_text()
    assert not [word for word in ("LLM_KEY", "NO_SUCH", USER_SECRETS["LLM_KEY"]) if word in text]


def test_a_daemon_that_ends_in_order_loses_nothing(home: Home) -> None:
    """And without a daemon the log is read as well, and what is done then is in it."""
    with home.daemon() as daemon:
        settled(daemon)
        ask_all(daemon, [*CACHED, *CACHED])
        assert daemon.stop() == 0
    home.hublet("token", "revoke", "nobody")
    lines = audit(home)
    listed = [line for line in lines if line["what"] == "list-assistants"]
    assert [line["count"] for line in listed] == [2]
    assert listed[0]["names"] == ["assistants of the personal scope"]
    assert [(line["outcome"], line["about"]) for line in lines if line["what"] == "token revoke"] == [
        ("refused", "nobody")
    ]


def test_a_secret_that_cannot_be_audited_is_not_made(home: Home) -> None:
    """The line comes first: no token is made and nobody is told one. What protects is done all the same."""
    with home.daemon() as daemon:
        settled(daemon)
        (home.data / "audit.log").unlink()
        (home.data / "audit.log").mkdir()
        done = home.hublet("token", "--name", "zed")
        assert done.returncode == 3
        assert b"audit log can't be written" in done.stderr
        assert done.stdout == b""
        assert home.hublet("token", "list").stdout == b""
        assert home.hublet("lock").returncode == 0
        assert ask_all(daemon, CACHED)[0].status == 200
        (home.data / "audit.log").rmdir()
        assert home.hublet("token", "--name", "zed").returncode == 0
        assert {line["what"] for line in audit(home)} >= {"lock", "token make"}


@pytest.mark.skipif(not AS_ROOT, reason="needs root to become other users")
def test_a_flood_of_refusals_fills_neither_the_log_nor_the_audit_log(home: Home) -> None:
    """All are counted; the daemon's log has a few lines and a number, the audit log a line with a number; meanwhile the
    same user is answered."""
    with home.daemon() as daemon:
        settled(daemon)
        wrong = {"Authorization": "Bearer hublet_" + "A" * 43}
        began = time.monotonic()
        found = ask_all(daemon, [("GET", "/ide/policy", None)] * 12, headers=wrong, uid=OTHER_UID)
        assert {answer.status for answer in found} == {403}
        assert time.monotonic() - began > 4  # 0.1 + 0.2 + 0.4 + nine times 0.5
        assert ask_all(daemon, CACHED)[0].status == 200
        counters = json.loads(home.hublet("status", "--json").stdout)["counters"]
        assert counters["refused:unknown-token"] == 12
        lines = [line for line in audit(home) if line["outcome"] == "refused"]
        assert [(line["detail"], line["count"], line["uid"]) for line in lines] == [("unknown-token", 12, OTHER_UID)]
        daemon.stop()
        log = daemon.log.read_text()
    assert log.count("refused a request (unknown-token)") == 5
    assert log.count("refused 7 more requests (unknown-token)") == 1
    assert "hublet_" not in log


def test_since_limits_what_is_shown_and_people_get_lines(home: Home) -> None:
    """Old lines are left out; what is no duration is an error."""
    log = home.data / "audit.log"
    old = '{"time":"2020-01-02T03:04:05.000Z","door":"admin","what":"login","outcome":"answered","who":"same-user"}\n'
    log.write_text(old + "not a line\n" + '{"what":"x","time":"never"}\n' + log.read_text())
    assert audit(home)[0]["time"] == "2020-01-02T03:04:05.000Z"
    assert len(audit(home, "--since", "1h")) >= 2
    assert all(line["time"] > "2021" for line in audit(home, "--since", "1h"))
    said = home.hublet("audit").stdout.decode().splitlines()
    assert said[0].startswith("2020-01-0")
    assert "answered  login  same-user (uid unknown) at admin" in said[0]
    assert any("login" in line and f"uid {log.stat().st_uid}" in line for line in said[1:])
    assert home.hublet("audit", "--since", "yesterday").returncode == 2


def test_audit_syslog_sends_the_lines_to_the_systems_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only when it is asked for, and from then on without a restart."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as system:
        system.bind(str(tmp_path / "log"))
        system.settimeout(5)
        monkeypatch.setattr(hublet.opening, "Syslog", lambda: Syslog(str(tmp_path / "log")))
        (tmp_path / "data").mkdir()
        text = f"cache: {{directory: {tmp_path}/data, runtime_directory: {tmp_path}/run}}\n"
        quiet, loud = (parse_config(text + f"audit: {{syslog: {value}}}\n", "c") for value in ("false", "true"))
        service = open_service(quiet, environment={}, opening=False)
        assert service.audit is not None
        asyncio.run(service.audit.record(Who("admin"), "login", "answered"))
        service.config = loud
        asyncio.run(service.audit.record(Who("admin"), "lock", "answered"))
        assert json.loads(system.recv(2000).partition(b": ")[2])["what"] == "lock"
    assert (tmp_path / "data" / "audit.log").read_bytes().count(b"\n") == 2
