"""Who is let in: daemon and clients under throwaway users, as two people of one machine are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY, USER_SECRETS
from hublet.demo.server import HubServer
from tests.daemon.asking import EVERYTHING, SECRETS, Question, ask_all, bodies, copied, message
from tests.running import OTHER_UID, THROWAWAY_UID, Home, RunningDaemon, as_user, eventually

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.getuid() != 0, reason="needs root to become other users")]

LIST: list[Question] = [("GET", "/ide/list-assistants", None)]
EVERY_ENDPOINT: list[Question] = [
    *EVERYTHING,
    ("GET", "/ide/credits", None),
    ("GET", "/auth/scope", None),
    ("GET", "/ide/get-models-add-on-checkout-url", None),
    ("GET", "/registry/v1/acme/review-rules/latest", None),
    ("GET", "/ide/mcp-auth", None),
    ("POST", "/model-proxy/v1/chat/completions", b"{}"),
    ("GET", "/agents", None),
    ("GET", "/no/such/path", None),
    ("DELETE", "/ide/policy", None),
    ("GET", "//ide/policy", None),
    ("GET", "/%69de/policy", None),
    ("GET", "/healthz/../ide/policy", None),
    ("GET", "/icons", None),
    ("POST", "/ide/sync-secrets", b"not json"),
]
"""What a client could ask, sensible or not: the answer must not depend on it."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Home:
    """A home that is logged in and synced, and has a local token in its file `token`."""
    place = tmp_path_factory.mktemp("who")
    place.chmod(0o755)
    home = Home.make(place / "home", hub.url)
    home.login(DEMO_KEY)
    (home.path / "token").write_text(token(home, "box")["Authorization"])
    return home


@pytest.fixture(scope="module")
def daemon(template: Home) -> Iterator[RunningDaemon]:
    with copied(template, template.path.parent / "copy").daemon() as daemon:
        eventually(lambda: " hublet: pass: " in daemon.log.read_text())
        yield daemon


def token(home: Home, name: str, *words: str) -> dict[str, str]:
    """The header that sends a new local token."""
    done = home.hublet("token", "--name", name, *words)
    assert done.returncode == 0, done.stderr.decode()
    return {"Authorization": f"Bearer {done.stdout.decode().strip()}"}


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer undefined"}, {"Authorization": "Bearer eyJhbGciOi.of-an-IDE.session"}]
)
def test_the_same_user_needs_no_token(daemon: RunningDaemon, headers: dict[str, str]) -> None:
    """Whatever it sends as the bearer: `cn` and IDEs send a key, a session, `undefined` or nothing."""
    for host in ("127.0.0.1", "::1"):
        assert {answer.status for answer in ask_all(daemon, EVERYTHING, headers=headers, host=host)} == {200}


@pytest.mark.parametrize(("uid", "host"), [(OTHER_UID, "127.0.0.1"), (0, "::1")])
def test_another_user_is_refused_everywhere(daemon: RunningDaemon, uid: int, host: str) -> None:
    """403 before routing, root included: nothing tells a known path from an unknown one, or that there is a token."""
    found = ask_all(daemon, EVERY_ENDPOINT, uid=uid, host=host)
    assert {answer.status for answer in found} == {403}
    assert len({answer.body for answer in found}) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "hublet"},
        {"Host": "localhost"},
        {"Host": "localhost:3001"},
        {"Authorization": "Bearer undefined"},
        {"Authorization": "Bearer hublet_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
        {"Authorization": "Bearer con_guessed"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-User": str(THROWAWAY_UID)},
    ],
)
def test_no_header_that_can_be_guessed_lets_another_user_in(daemon: RunningDaemon, headers: dict[str, str]) -> None:
    assert {answer.status for answer in ask_all(daemon, LIST, headers=headers, uid=OTHER_UID)} == {403}


def test_the_hosts_are_exact_for_the_same_user_too(daemon: RunningDaemon) -> None:
    """So that no web page can come under a name of its own."""
    for host in ("evil.example", f"evil.example:{daemon.port}", "localhost", f"localhost.:{daemon.port}"):
        assert ask_all(daemon, LIST, headers={"Host": host})[0].status == 403, host
    for host in (f"localhost:{daemon.port}", f"127.0.0.1:{daemon.port}", f"LOCALHOST:{daemon.port}"):
        assert ask_all(daemon, LIST, headers={"Host": host})[0].status == 200, host


def test_open_paths_tell_another_user_nothing(daemon: RunningDaemon) -> None:
    """Alive and ready, without an age; an icon, whose name can't be guessed."""
    organizations = ask_all(daemon, [("GET", "/ide/list-organizations", None)])[0].json()
    assert isinstance(organizations, dict)
    icon = organizations["organizations"][0]["iconUrl"].partition(str(daemon.port))[2]
    asked: list[Question] = [("GET", path, None) for path in ("/healthz", "/readyz", icon, "/icons/" + "0" * 32)]
    alive, ready, picture, nothing = ask_all(daemon, asked, uid=OTHER_UID)
    assert (alive.status, alive.json()) == (200, {"status": "alive"})
    assert (ready.status, ready.json()) == (200, {"status": "ready"})
    assert (picture.status, picture.headers["content-type"]) == (200, "image/png")
    assert nothing.status == 404
    assert "age" in ask_all(daemon, [("GET", "/readyz", None)])[0].json()  # type: ignore[operator]


_CONNECT = """
import http.client, json, socket, sys
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])
try:
    connection = Unix("localhost")
    connection.request(sys.argv[2], sys.argv[3])
    print(connection.getresponse().status)
except OSError as error:
    print(type(error).__name__)
"""


def over_admin_socket(daemon: RunningDaemon, uid: int, method: str, path: str) -> str:
    words = [*as_user(uid), sys.executable, "-c", _CONNECT, str(daemon.home.runtime / "admin.sock"), method, path]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=True, cwd="/").stdout.strip()


def test_another_user_does_not_get_to_the_admin_socket(daemon: RunningDaemon) -> None:
    """Its file keeps them out; where that fails (modes loosened, or root) the kernel's word on who connected does."""
    asked = [("GET", "/status"), ("POST", "/sync"), ("POST", "/unlock"), ("GET", "/tokens"), ("GET", "/no/such")]
    assert over_admin_socket(daemon, THROWAWAY_UID, "GET", "/status") == "200"
    assert over_admin_socket(daemon, OTHER_UID, "GET", "/status") == "PermissionError"
    assert {over_admin_socket(daemon, 0, *each) for each in asked} == {"403"}
    socket_file = daemon.home.runtime / "admin.sock"
    try:
        daemon.home.runtime.chmod(0o755)
        socket_file.chmod(0o666)
        assert {over_admin_socket(daemon, OTHER_UID, *each) for each in asked} == {"403"}
    finally:
        socket_file.chmod(0o600)
        daemon.home.runtime.chmod(0o700)


def test_a_token_or_the_accounts_own_key_lets_anybody_in(daemon: RunningDaemon) -> None:
    mine = ask_all(daemon, EVERYTHING)
    for headers in (token(daemon.home, "another"), {"Authorization": f"Bearer {DEMO_KEY}"}):
        assert bodies(ask_all(daemon, EVERYTHING, headers=headers, uid=OTHER_UID)) == bodies(mine)


def test_a_token_of_scope_read_sees_references_in_place_of_values(daemon: RunningDaemon) -> None:
    """No secret value in any answer, and nothing goes on to the Hub; the same user still sees them."""
    reading = token(daemon.home, "reader", "--scope", "read")
    found = ask_all(daemon, EVERYTHING, headers=reading, uid=OTHER_UID)
    assert {answer.status for answer in found} == {200}
    text = b"".join(answer.body for answer in found).decode()
    assert [value for value in USER_SECRETS.values() if value in text and value != USER_SECRETS["PIN"]] == []
    assert "${{ secrets." in text
    (secrets,) = ask_all(daemon, [("POST", "/ide/sync-secrets", SECRETS)], headers=reading, uid=OTHER_UID)
    known, unknown = json.loads(secrets.body)
    assert known == {
        "found": False,
        "fqsn": {"packageSlugs": [{"ownerSlug": "dana", "packageSlug": "local-chat"}], "secretName": "LLM_KEY"},
        "secretLocation": {"secretType": "not_found", "secretName": "LLM_KEY"},
    }
    assert unknown["found"] is False
    passed = ask_all(daemon, [("GET", "/agents", None)], headers=reading, uid=OTHER_UID)
    assert passed[0].status == 403
    assert USER_SECRETS["LLM_KEY"] in ask_all(daemon, LIST)[0].body.decode()


ACCESS = {
    # serve.access: (same user, same user with a token, another with a token, another, another with the account's key)
    "either": (200, 200, 200, 403, 200),
    "same-user": (200, 200, 403, 403, 403),
    "token": (401, 200, 200, 401, 200),
    "both": (401, 200, 403, 403, 403),
}


@pytest.mark.parametrize("access", ACCESS)
def test_each_kind_of_access(template: Home, tmp_path: Path, access: str) -> None:
    """serve.access says whether it takes the same user, a token, either, or both."""
    home = copied(template, tmp_path / "home", settings={"serve": {"access": access}})
    bearer = {"Authorization": (home.path / "token").read_text()}
    account = {"Authorization": f"Bearer {DEMO_KEY}"}
    with home.daemon() as own:
        callers = [
            ask_all(own, LIST),
            ask_all(own, LIST, headers=bearer),
            ask_all(own, LIST, headers=bearer, uid=OTHER_UID),
            ask_all(own, LIST, uid=OTHER_UID),
            ask_all(own, LIST, headers=account, uid=OTHER_UID),
        ]
        assert tuple(answers[0].status for answers in callers) == ACCESS[access]
        for (answer,) in callers:
            if answer.status != 200:
                assert "canary" not in message(answer)
            if answer.status == 401:
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert "hublet token" in message(answer)
        assert {ask_all(own, [("GET", "/healthz", None)], uid=uid)[0].status for uid in (THROWAWAY_UID, OTHER_UID)} == {
            200
        }
