"""`hublet ui` over its port: who is answered, what is told and changed, and how it lives and ends."""

from __future__ import annotations

import json
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hublet.demo.data import DEMO_KEY, ORGANIZATION_SECRETS, USER_SECRETS
from hublet.demo.faults import Status
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from hublet.ui.trimming import LONGEST_TEXT
from tests.running import AS_ROOT, OTHER_UID, Home, eventually
from tests.ui.showing import Shown, page

ACME = "org_acme"


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    """The demo Hub of the one daemon that most tests share: each changes something of its own in it."""
    with HubServer(Hub()) as server:
        yield server


@pytest.fixture(scope="module")
def shown(server: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A page of a running, synced daemon, entered."""
    home = Home.make(tmp_path_factory.mktemp("p") / "home", server.url)
    home.login(DEMO_KEY)
    with home.daemon(), page(home) as shown:
        shown.enter()
        eventually(lambda: shown.get("tally")["passes"])
        yield shown


# Who is answered


def test_the_link_opens_the_page_once(home: Home) -> None:
    """Its code buys a session; a second time it buys nothing, and neither does another one."""
    with page(home) as shown:
        for wrong in ("", "x" * 43, shown.code[:-1]):
            refused = shown.ask("POST", "/session", {"code": wrong})
            assert (refused.status, "set-cookie" in refused.headers) == (403, False)
        answer = shown.ask("POST", "/session", {"code": shown.code})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"hublet-ui-{shown.port}=")
        assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
        assert answer.headers["cache-control"] == "no-store"
        again: Any = shown.ask("POST", "/session", {"code": shown.code})
        assert again.status == 403
        assert again.json()["hint"] == "run `hublet ui` again"


@pytest.mark.parametrize("value", [{}, {"code": None}, {"code": ["x"]}, {"code": "x", "more": "y"}, []])
def test_a_session_is_asked_for_in_one_way(home: Home, value: object) -> None:
    """Anything else is no question."""
    with page(home) as shown:
        assert shown.ask("POST", "/session", value).status == 400


def test_both_halves_are_needed_for_everything(shown: Shown) -> None:
    """The page's files are anybody's of this user, with nothing in them; its questions are the session's."""
    bare: dict[str, str | None] = {"Cookie": None, "Hublet-Page": None}
    assert shown.ask("GET", "/", headers=bare).status == 200
    assert shown.ask("GET", "/app.js", headers=bare).status == 200
    for missing in (["Cookie"], ["Hublet-Page"], ["Cookie", "Hublet-Page"]):
        without: dict[str, str | None] = dict.fromkeys(missing)
        for method, path in (("GET", "/api/status"), ("GET", "/api/events"), ("POST", "/api/sync"), ("GET", "/x")):
            assert shown.ask(method, path, headers=without).status == 401


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("GET", {"Sec-Fetch-Site": "same-site"}, 403),
        ("GET", {"Origin": "http://evil.example"}, 403),
        ("GET", {"Host": "evil.example"}, 403),
        ("GET", {"Forwarded": "for=10.0.0.1"}, 403),
        ("POST", {"Origin": None}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Content-Type": "text/plain"}, 415),
        ("DELETE", {}, 405),
        ("OPTIONS", {}, 405),
    ],
)
def test_another_site_is_refused_even_with_the_session(
    shown: Shown, method: str, headers: dict[str, str | None], status: int
) -> None:
    """Before anything is looked at; and no answer ever allows another origin anything."""
    path = "/api/sync" if method == "POST" else "/api/status"
    answer = shown.ask(method, path, headers=headers)
    assert answer.status == status
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@pytest.mark.skipif(not AS_ROOT, reason="only root can be another user")
def test_another_user_gets_nothing_at_all(shown: Shown) -> None:
    """Not the page's files, not with the session: the kernel says who connects."""
    for path in ("/", "/app.js", "/api/status"):
        assert shown.ask("GET", path, uid=OTHER_UID).status == 403


def test_what_may_not_be_asked_is_not_there(shown: Shown) -> None:
    """Neither values nor keys nor tokens; what a page can't do, a script in it can't either."""
    name = next(iter(USER_SECRETS))
    for method, path, value in (
        ("POST", "secrets/get", {"name": name}),
        ("GET", "keys", None),
        ("POST", "keys/escrow", {}),
        ("GET", "tokens", None),
        ("POST", "tokens", {"name": "x", "scope": "secrets"}),
        ("POST", "forget", {}),
        ("POST", "export/values", {}),
        ("POST", "bundle", {"passphrase": "x"}),
        ("POST", "unlock", {}),
        ("GET", "../status", None),
        ("GET", "..%2fkeys", None),
        ("GET", "history/x/y", None),
    ):
        assert shown.ask(method, f"/api/{path}", value).status in (400, 404), path
    assert shown.ask("POST", "/api/status").status == 404
    assert shown.ask("GET", "/index.html").status == 404


# What is told


def test_everything_is_told_and_no_secret_value(shown: Shown) -> None:
    """The same as the commands say; not one of the demo's secret values is in all that the page can be told."""
    value = json.loads(shown.home.hublet("status", "--json").stdout)
    status = shown.get("status")
    assert [scope["assistants"] for scope in status["scopes"]] == [scope["assistants"] for scope in value["scopes"]]
    told = [status]
    told += [shown.get(path) for path in ("tally", "secrets", "history", "refused", "sunset")]
    what = status["scopes"][0]["assistants"][0]["slug"].replace("/", "%2F")
    told += [shown.get(f"history/{what}"), shown.get(f"diff/{what}@now/{what}@now")]
    text = json.dumps(told)
    everyone = [USER_SECRETS, *ORGANIZATION_SECRETS.values()]
    canaries = [secret for secrets in everyone for secret in secrets.values() if len(secret) > 8]
    assert [secret for secret in (*canaries, DEMO_KEY) if secret in text] == []
    assert {one["state"] for one in told[2]["secrets"]} >= {"fresh", "location-only"}


def test_passes_and_what_the_hub_said_are_remembered_one_by_one(shown: Shown, server: HubServer) -> None:
    """When, how much of it was answered, what it changed; and the outcomes of each question."""
    before = len(shown.get("tally")["passes"])
    server.hub.edit_assistant("dana/night-owl", "Answer in short", "Answer in very short")
    assert shown.post("sync")["summary"]["changed"] > 0
    with server.hub.failing(Status(500)):
        assert shown.post("sync")["summary"]["of_account"] == 0
    tally = shown.get("tally")
    good, bad = tally["passes"][before:]
    assert good["changed"] > 0
    assert good["answered"] == good["asked"] > bad["answered"]
    assert abs(bad["at"] - time.time()) < 60
    assert {one["asked"] for one in tally["outcomes"]} >= {"list-assistants", "policy"}
    assert "refused" in {one["outcome"] for one in tally["outcomes"]}


def test_the_checks_are_the_commands_own(shown: Shown) -> None:
    """What `hublet doctor` prints, by running it."""
    found = shown.get("doctor")
    said = json.loads(shown.home.hublet("doctor", "--json").stdout)
    assert [one["check"] for one in found["findings"]] == [one["check"] for one in said["findings"]]
    assert found["problems"] == said["problems"]


def test_who_was_refused_is_told_from_the_audit_log(shown: Shown) -> None:
    """The rule and the number of times, the newest first."""
    port = shown.get("status")["port"]
    asking = "import http.client,sys;c=http.client.HTTPConnection('localhost',int(sys.argv[1]))\n"
    asking += "for _ in range(3):\n c.request('GET','/ide/policy',headers={'Origin':'http://evil.example'});c.getresponse().read()"
    assert shown.home.python("-c", asking, str(port)).returncode == 0
    first = shown.get("refused")["refusals"][0]
    assert (first["detail"], first["what"], first["count"]) == ("origin", "policy", 3)
    assert shown.get("status")["counters"]["refused:origin"] == 3


# What is changed


def test_a_quarantine_is_shown_and_accepted(shown: Shown, server: HubServer) -> None:
    """By the name that the status gives it; what is accepted twice is refused with a sentence."""
    with server.hub.changing() as world:
        world.organizations[ACME].roster.clear()
    shown.post("sync")
    what = shown.get("status")["quarantine"][0]["what"]
    assert "acme/team-chat" in json.dumps(shown.post("quarantine/show", {"what": what}))
    assert shown.post("quarantine/accept", {"what": what}) == {}
    status = shown.get("status")
    assert status["quarantine"] == []
    assert [len(scope["assistants"]) for scope in status["scopes"] if scope["scope"] == ACME] == [0]
    again: Any = shown.ask("POST", "/api/quarantine/accept", {"what": what})
    assert again.status == 409
    assert "nothing of that name" in again.json()["message"]


def test_a_revision_is_pinned_and_unpinned(shown: Shown, server: HubServer) -> None:
    """The same as the commands do it."""
    server.hub.edit_assistant("dana/rust-smith", "Run clippy", "Run clippy twice")
    shown.post("sync")
    old = shown.get("history/dana%2Frust-smith")["entries"][-1]
    shown.post("pin", {"what": old["what"], "revision": old["revision"]})
    assert shown.get("status")["pins"][0]["revision"] == old["revision"]
    lines = shown.get("diff/dana%2Frust-smith@previous/dana%2Frust-smith@now")["differences"]
    assert "Run clippy twice" in json.dumps(lines)
    shown.post("unpin", {"what": old["what"]})
    assert shown.get("status")["pins"] == []


# Hostile texts


def test_hostile_names_and_rules_stay_texts_and_stay_small(shown: Shown, server: HubServer) -> None:
    """HTML, escape sequences, turned writing and megabytes come as JSON of a bounded size that is never markup."""
    evil = "</script><img src=x onerror=alert(1)>\u202egnp.exe\u2066"
    rule = json.dumps(evil + "x" * 3_000_000)
    source = f"name: {json.dumps(evil + chr(27) + '[31m')}\nversion: 1.0.0\nschema: v1\nrules:\n  - {rule}\n"
    server.hub.put_assistant("dana/evil", source)
    shown.post("sync")
    answer = shown.ask("GET", "/api/status")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    titles = [one["title"] for one in shown.get("status")["scopes"][0]["assistants"] if one["slug"] == "dana/evil"]
    assert titles[0].startswith(evil)
    server.hub.put_assistant("dana/evil", source.replace("1.0.0", "1.0.1").replace("xxx", "yyyy"))
    shown.post("sync")
    difference = shown.ask("GET", "/api/diff/dana%2Fevil@previous/dana%2Fevil@now")
    assert difference.status == 200
    assert len(difference.body) < 50 * LONGEST_TEXT


# Live


def until(events: Iterator[tuple[str, Any]], kind_: str, **told: str) -> Any:
    """The value of the next event of a kind, with these words in it."""
    for found, value in events:
        if found == kind_ and told.items() <= value.items():
            return value
    raise AssertionError(f"the stream ended without {kind_} {told}")


def test_what_happens_is_told_as_it_happens(shown: Shown, server: HubServer) -> None:
    """First what is kept of before, then each thing."""
    with shown.events() as events:
        assert next(events)[0] == "up"
        until(events, "happened", kind="pass")
        server.hub.edit_assistant("dana/data-desk", "never print it", "never ever print it")
        shown.home.hublet("sync")
        assert until(events, "happened", kind="revision", what="dana/data-desk")["detail"] == "changed"


def test_the_daemons_end_is_told_and_its_return(logged_in: Home) -> None:
    """With what to do; questions meanwhile say the same. The stream goes on with the next daemon by itself."""
    with page(logged_in) as shown:
        shown.enter()
        with shown.events() as events:
            down = until(events, "down")
            assert down == {
                "message": "hublet is not running",
                "hint": "`hublet service start` or `hublet run` starts it",
            }
            asked: Any = shown.ask("GET", "/api/status")
            assert (asked.status, asked.json()) == (503, down)
            with logged_in.daemon():
                until(events, "up")
                assert shown.get("status")["state"] in ("ok", "starting")
                until(events, "happened", kind="pass")
            assert until(events, "down")["message"] == "hublet is not running"


def test_a_cache_that_cannot_be_opened_is_told_with_what_to_do(logged_in: Home) -> None:
    """The daemon is there and says why it has nothing; what needs the cache says the same."""
    (logged_in.path / "key" / "kek").rename(logged_in.path / "key" / "away")
    with logged_in.daemon(), page(logged_in) as shown:
        shown.enter()
        status = shown.get("status")
        assert (status["state"], bool(status["hint"])) == ("unavailable", True)
        for path in ("history", "secrets"):
            asked: Any = shown.ask("GET", f"/api/{path}")
            assert (asked.status, asked.json()["message"]) == (409, status["reason"])


def test_a_page_is_open_a_few_times_at_most(shown: Shown) -> None:
    """A browser has six connections to a server: streams must not take them all. A closed one gives its place back."""
    with shown.events(), shown.events(), shown.events():
        with shown.events():
            assert shown.ask("GET", "/api/events").status == 503
        eventually(lambda: _opens(shown))


def _opens(shown: Shown) -> bool:
    connection = shown.connection()
    try:
        shown.send(connection, "GET", "/api/events")
        return connection.getresponse().status == 200
    finally:
        connection.close()


# Its life


def test_it_ends_when_nobody_looks(logged_in: Home) -> None:
    """Time runs from the last page's end, and not while one is open."""
    with page(logged_in, "--idle", "1s") as shown:
        shown.enter()
        with shown.events() as events:
            next(events)
            time.sleep(1.5)
            assert shown.process.poll() is None
        assert shown.process.wait(10) == 0
        assert "nobody has looked for a while" in shown.log.read_text()


def test_it_ends_when_nobody_came(logged_in: Home) -> None:
    """A link that nobody opened leaves no process behind."""
    with page(logged_in, "--idle", "1s") as shown:
        assert shown.process.wait(10) == 0
        assert "nobody came" in shown.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_asked_to_and_says_so_to_the_page(logged_in: Home, number: int) -> None:
    """An open stream is not waited for."""
    with page(logged_in) as shown:
        shown.enter()
        with shown.events() as events:
            next(events)
            shown.process.send_signal(number)
            assert until(events, "ended") == {"message": "this page has ended: run `hublet ui` again"}
        assert shown.process.wait(10) == 0


def test_the_browser_is_led_there_without_the_code_in_its_arguments(home: Home, tmp_path: Path) -> None:
    """It is given the name of a file that only we can read, which leads to the page and is gone when that is open."""
    home.path.chmod(0o755)
    given, content = home.path / "arguments", home.path / "content"
    browser = home.path / "browser"
    browser.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {given}.part\ncp "${{1#file://}}" {content}\nmv {given}.part {given}\n'
    )
    browser.chmod(0o755)
    home.own()
    with page(home, env={"BROWSER": str(browser), "DISPLAY": ":7"}, browser=True) as shown:
        eventually(given.exists)
        file = Path(given.read_text().strip().removeprefix("file://"))
        assert shown.code not in given.read_text()
        assert f'url={shown.url}"' in content.read_text()
        info = file.stat()
        assert (stat.S_IMODE(info.st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
        assert info.st_uid == home.uid or not AS_ROOT
        shown.enter()
        eventually(lambda: not file.exists())
        arguments = Path(f"/proc/{shown.process.pid}/cmdline").read_bytes()
        assert shown.code.encode() not in arguments
    assert list(home.runtime.iterdir()) == []


@pytest.mark.parametrize("words", [["--idle", "0s"], ["--idle", "soon"], ["--idle", "15"]])
def test_a_time_that_makes_no_sense_is_refused(home: Home, words: list[str]) -> None:
    """With the exit code of a wrong use."""
    done = home.hublet("ui", "--no-browser", *words)
    assert done.returncode == 2
    assert b"--idle" in done.stderr
