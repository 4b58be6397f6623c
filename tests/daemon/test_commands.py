"""Every command as a person calls it, with a daemon and without one: what it prints, what it changes, how it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hublet.demo.assistants import chat
from hublet.demo.data import ACME, DEMO_KEY, USER_SECRETS
from hublet.demo.faults import ErrorPage, Status
from hublet.demo.server import HubServer
from tests.daemon.asking import ask_all, bodies, files_below, names, status
from tests.running import HUBLET, Home, RunningDaemon, eventually

LIST = [("GET", "/ide/list-assistants", None)]
LLM_KEY = [("POST", "/ide/sync-secrets", names(("dana/local-chat", "LLM_KEY")))]


@pytest.fixture(scope="module", params=["with-a-daemon", "without"])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Iterator[Home]:
    """A home that is logged in and synced; the module's tests run once with a daemon on it and once without."""
    place = tmp_path_factory.mktemp("commands")
    place.chmod(0o755)
    home = Home.make(place / "home", hub.url)
    home.login(DEMO_KEY)
    if request.param == "without":
        yield home
        return
    with home.daemon() as daemon:
        eventually(lambda: " hublet: pass: " in daemon.log.read_text())
        running[home.path] = daemon
        yield home
        del running[home.path]


running: dict[Path, RunningDaemon] = {}


once = pytest.mark.parametrize("home", ["with-a-daemon"], indirect=True)
"""For what has nothing to do with where the answer comes from."""


@pytest.fixture
def daemon(home: Home) -> Iterator[RunningDaemon]:
    """The home's daemon, one started now where there is none: to see what a command has changed."""
    if home.path in running:
        yield running[home.path]
    else:
        with home.daemon() as started:
            yield started


def at_a_terminal(home: Home, *words: str, typed: str = "", columns: int = 200) -> tuple[int, str]:
    """A command with a terminal for its input, output and errors: its exit code and everything it showed."""
    ours, theirs = pty.openpty()
    env = home.env(COLUMNS=str(columns), TERM="xterm-256color")
    with subprocess.Popen(
        home.command(*HUBLET, *words),
        stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=home.path, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown, deadline = b"", time.monotonic() + 30
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    data = os.read(ours, 65536)
                except OSError:  # EIO: the last one at the other end has gone
                    break
                shown += data
                if typed and shown.rstrip().endswith(b":"):
                    os.write(ours, typed.encode() + b"\n")
                    typed = ""
        code = process.wait(10)
    os.close(ours)
    return code, shown.decode()


# sync and status


_NEW_ADDRESS = "models Pretend Chat: apiBase is new: http://localhost:1/v1"


def test_sync_says_what_it_changed(home: Home, hub: HubServer) -> None:
    slug = f"dana/new-{time.monotonic_ns()}"
    hub.hub.put_assistant(slug, chat("New", "http://localhost:1/v1"))
    done = home.hublet("sync")
    assert done.returncode == 0
    assert re.fullmatch(
        r"(\d+) of \1 questions answered; assistants: 1 added, 0 changed, 0 withdrawn \(\d+\.\d s\)\n",
        done.stdout.decode(),
    )
    # What it newly sends things to is told; a progress display is for terminals only.
    assert done.stderr.decode() == f"  runs or sends elsewhere: {slug}: {_NEW_ADDRESS}\n"
    hub.hub.edit_assistant(slug, "New", "Renamed")
    assert b" 0 added, 1 changed, 0 withdrawn" in home.hublet("sync").stdout
    hub.hub.remove_assistant(slug)
    home.hublet("sync")  # the first pass without it is only remembered
    assert b" 0 added, 0 changed, 1 withdrawn" in home.hublet("sync").stdout


def test_sync_of_a_hub_that_does_not_answer_ends_with_its_own_code(home: Home, hub: HubServer) -> None:
    with hub.hub.failing(ErrorPage(502)):
        done = home.hublet("sync")
    assert done.returncode == 12
    assert re.search(rb"^hublet: nothing was refreshed: .*the Hub answered 502$", done.stderr, re.MULTILINE)
    assert b"\n  hint: what is cached goes on being served" in done.stderr
    hub.stop()
    done = home.hublet("sync")
    hub.start(hub.port)
    assert done.returncode == 12
    assert b"could not connect" in done.stderr
    assert home.hublet("sync").returncode == 0


STATUS_KEYS = {
    "version", "state", "hub", "logged_in", "key_from_environment", "port", "started_at", "counters", "lost_records",
    "last_pass_at", "last_success_at", "failures", "running", "next_pass_in", "not_before", "lock", "unsaved_since",
    "unsaved_reason", "requests", "scopes", "policy", "organizations", "secrets", "quarantine", "troubles",
    "running_daemon",
}  # fmt: skip


def test_status_as_json_has_these_keys_and_no_secret(home: Home, hub: HubServer) -> None:
    """Programs read it: keys may come, but none may go."""
    value = status(home)
    assert value.keys() >= STATUS_KEYS
    assert value["state"] == "ok"
    assert value["hub"] == hub.url
    assert value["running_daemon"] is (home.path in running)
    assert (value["port"] is not None) is (home.path in running)
    scopes = value["scopes"]
    assert isinstance(scopes, list)
    assert [scope["scope"] for scope in scopes] == [None, "org_acme", "org_initech"]
    assert all(
        scope.keys() >= {"scope", "slug", "name", "proxied", "assistants", "age", "grade", "error"} for scope in scopes
    )
    assert {"slug": "dana/rust-smith", "title": "Rust Smith"} in scopes[0]["assistants"]
    text = json.dumps(value)
    assert not [secret for secret in (*USER_SECRETS.values(), DEMO_KEY) if secret in text]


def test_status_is_a_table_for_people(home: Home, hub: HubServer) -> None:
    done = home.hublet("status", env={"COLUMNS": "160"})
    assert done.returncode == 0
    said = done.stdout.decode()
    where = "serving http://localhost:" if home.path in running else "not running: `hublet run`"
    assert said.startswith("hublet ")
    assert f": ok, {where}" in said.splitlines()[0]
    for text in (hub.url, "last sync", "personal", "Acme Corp", "dana/rust-smith  Rust Smith", "fresh", "policy"):
        assert text in said, text
    with hub.hub.failing(ErrorPage(502), "/ide/policy"):
        home.hublet("sync")
    assert "policy: the Hub answered 502" in home.hublet("status").stdout.decode()
    home.hublet("sync")


HOSTILE = "[red]Evil[/red] [link=http://evil.example]\u001b[2J\u001b]0;owned\u0007 \u202etxet\u0085\u009b1m"
SHOWN = "[red]Evil[/red] [link=http://evil.example]\ufffd[2J\ufffd]0;owned\ufffd \ufffdtxet\ufffd\ufffd1m"


@once
def test_names_from_the_hub_are_shown_as_text(home: Home, hub: HubServer) -> None:
    """Markup is not obeyed, and nothing that moves the cursor or turns the writing round reaches a terminal."""
    slug = "dana/hostile"
    hub.hub.put_assistant(slug, chat("NAME", "http://localhost:1/v1").replace("NAME", json.dumps(HOSTILE)))
    try:
        done = home.hublet("sync")
        assert done.returncode == 0, done.stderr.decode()
        plain = home.hublet("status", env={"COLUMNS": "240"}).stdout.decode()
        code, shown = at_a_terminal(home, "status", columns=240)
        assert code == 0
        for said in (plain, shown):
            assert SHOWN in said
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", plain)
        assert "\x1b[2J" not in shown
        assert "\x1b]" not in shown
    finally:
        hub.hub.remove_assistant(slug)
        home.hublet("sync")
        home.hublet("sync")


@once
def test_what_the_hub_says_of_an_error_is_shown_as_text(home: Home, hub: HubServer) -> None:
    """In the lines of `sync` and `status`, too."""
    with hub.hub.failing(Status(404, f"{HOSTILE}\nforged"), "/ide/policy"):
        code, said = at_a_terminal(home, "sync")
    assert code == 0, said
    for shown in (said, at_a_terminal(home, "status")[1]):
        assert "]0;owned" in shown
        assert "\x1b[2J" not in shown
        assert "\x1b]" not in shown
        assert "\u202e" not in shown
        assert "\nforged" not in shown
    assert home.hublet("sync").returncode == 0


# login


NO_KEYS = (b"sk-not-a-hub-key-91f7", b"", b"con_with a blank", b"con_\xff\xfe", b"con_a\ncon_b")


@once
def test_what_is_no_hub_key_is_refused_and_not_said_again(home: Home) -> None:
    """Exit code 11, a sentence; the key that was stored goes on being used."""
    for given in NO_KEYS:
        done = home.hublet("login", input=given)
        assert done.returncode == 11, done.stderr.decode()
        assert done.stderr.startswith(b"hublet: ")
        assert b"Traceback" not in done.stderr
        if given:
            assert given not in done.stdout + done.stderr
    assert status(home)["logged_in"] is True
    assert home.hublet("sync").returncode == 0


def test_login_takes_the_key_from_a_pipe_and_never_shows_it(home: Home, hub: HubServer) -> None:
    done = home.hublet("login", input=DEMO_KEY.encode() + b"\n")
    assert done.returncode == 0
    assert f"The key is stored for {hub.url}." in done.stdout.decode()
    assert b"questions answered" in done.stdout  # it syncs at once
    assert DEMO_KEY.encode() not in done.stdout + done.stderr


@once
def test_login_asks_at_a_terminal_without_an_echo(home: Home) -> None:
    code, shown = at_a_terminal(home, "login", typed=DEMO_KEY)
    assert code == 0, shown
    assert "Hub key (con_...)" in shown
    assert DEMO_KEY not in shown


# Secrets


def test_lock_withholds_secrets_until_a_person_unlocks(home: Home, daemon: RunningDaemon) -> None:
    """Assistants go on being served with references; unlocking needs a terminal, the Hub's word, or a login."""
    before = ask_all(daemon, [*LIST, *LLM_KEY])
    secret = USER_SECRETS["LLM_KEY"].encode()
    assert all(secret in answer.body for answer in before)
    assert home.hublet("lock").returncode == 0
    assert status(home)["state"] == "locked"
    locked = ask_all(daemon, [*LIST, *LLM_KEY])
    assert [answer.status for answer in locked] == [200, 200]
    assert b"canary-user-" not in b"".join(answer.body for answer in locked)
    assert b"${{ secrets." in locked[0].body
    assert b'"found":false' in locked[1].body
    assert all('detail="secrets withheld"' in answer.headers["cache-status"] for answer in locked)
    piped = home.hublet("unlock", "--offline", input=b"y\n")
    assert piped.returncode == 2
    assert b"unlocking needs a person at a terminal" in piped.stderr
    assert status(home)["state"] == "locked"
    code, shown = at_a_terminal(home, "unlock", "--offline", typed="y")
    assert code == 0, shown
    assert "Unlocked." in shown
    assert bodies(ask_all(daemon, [*LIST, *LLM_KEY])) == bodies(before)


def test_a_lock_that_was_asked_for_outlasts_the_hubs_word(home: Home) -> None:
    """Neither a pass, nor a login, nor `unlock` without --offline ends it; each says what does."""
    assert home.hublet("lock").returncode == 0
    assert home.hublet("login", input=DEMO_KEY.encode()).returncode == 0
    done = home.hublet("unlock")
    assert done.returncode == 2
    assert b"`hublet unlock --offline`" in done.stderr
    said = home.hublet("status").stdout.decode()
    assert "locked: no secret value is served (`hublet unlock --offline`)" in said
    code, shown = at_a_terminal(home, "unlock", "--offline", typed="n")
    assert code == 130, shown
    assert status(home)["state"] == "locked"
    assert at_a_terminal(home, "unlock", "--offline", typed="y")[0] == 0
    assert status(home)["state"] == "ok"


# Tokens


def test_tokens_are_made_used_listed_and_revoked(home: Home, daemon: RunningDaemon) -> None:
    """Shown once. As the bearer one lets in whoever sends it: another user, which nothing else does."""
    made = home.hublet("token", "--name", "box", "--expires", "1h")
    assert made.returncode == 0, made.stderr.decode()
    text = made.stdout.decode().strip()
    assert re.fullmatch(r"hublet_\S{20,}", text)
    bearer = {"Authorization": f"Bearer {text}"}
    (answer,) = ask_all(daemon, LIST, headers=bearer, uid=0)
    assert answer.status == 200
    listed = home.hublet("token", "list").stdout.decode()
    assert re.search(r"^box\tsecrets\tends \d{4}-\d\d-\d\d \d\d:\d\d$", listed, re.MULTILINE)
    assert text not in listed
    again = home.hublet("token", "--name", "box")
    assert again.returncode != 0
    assert b"there is a token of the name box already" in again.stderr
    assert home.hublet("token", "revoke", "box").returncode == 0
    assert "box" not in home.hublet("token", "list").stdout.decode()
    assert home.hublet("token", "revoke", "box").returncode != 0
    if os.getuid() == 0:
        (answer,) = ask_all(daemon, LIST, headers=bearer, uid=0)
        assert answer.status == 403
    assert not [path for path, data in files_below(home.path).items() if text.encode() in data]


@once
def test_a_token_ends_by_itself(home: Home, daemon: RunningDaemon) -> None:
    text = home.hublet("token", "--name", "short", "--scope", "read", "--expires", "2s").stdout.decode().strip()
    if os.getuid() == 0:
        bearer = {"Authorization": f"Bearer {text}"}
        assert ask_all(daemon, LIST, headers=bearer, uid=0)[0].status == 200
        time.sleep(2)
        assert ask_all(daemon, LIST, headers=bearer, uid=0)[0].status == 403
    assert home.hublet("token", "revoke", "short").returncode == 0


@once
def test_a_token_without_sense_is_not_made(home: Home) -> None:
    for words in ((), ("--name", "x", "--expires", "soon"), ("--name", "x", "--scope", "all")):
        done = home.hublet("token", *words)
        assert done.returncode == 2
        assert done.stdout == b""
        assert b"Traceback" not in done.stderr
    assert b"x\t" not in home.hublet("token", "list").stdout


# Quarantine


def test_what_is_in_quarantine_is_served_until_it_is_accepted(
    home: Home, daemon: RunningDaemon, hub: HubServer
) -> None:
    asked = [("GET", f"/ide/list-assistants?organizationId={ACME}", None)]
    before = ask_all(daemon, asked)
    with hub.hub.changing() as world:
        roster, world.organizations[ACME].roster = world.organizations[ACME].roster, []
    try:
        done = home.hublet("sync")
        assert b"something is in quarantine: see `hublet quarantine`" in done.stderr
        assert bodies(ask_all(daemon, asked)) == bodies(before)
        listed = home.hublet("quarantine").stdout.decode()
        what = "assistants of Acme Corp"
        assert listed.startswith(f"{what}: no longer named by the Hub\n")
        assert "  acme/house-style\n" in listed
        assert f"hublet quarantine accept '{what}'" in listed
        assert f"in quarantine: {what} (5 gone)" in home.hublet("status").stdout.decode()
        assert home.hublet("quarantine", "accept", "something else").returncode != 0
        assert bodies(ask_all(daemon, asked)) == bodies(before)
        assert home.hublet("quarantine", "accept", what).returncode == 0
        (after,) = ask_all(daemon, asked)
        assert after.body == b"[]"
        assert home.hublet("quarantine").stdout == b"Nothing is in quarantine.\n"
    finally:
        with hub.hub.changing() as world:
            world.organizations[ACME].roster = roster
        home.hublet("sync")
    assert bodies(ask_all(daemon, asked)) == bodies(before)
