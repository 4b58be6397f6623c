"""A running daemon held against its own document: whatever it answers is declared, with the Hub and without it."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.server import HubServer
from hublet.describe.document import served
from tests.daemon.asking import EVERYTHING, SECRETS, Question, ask_all
from tests.describe.holding import DOCUMENT, component, hold, path_of
from tests.running import Answer, Home, RunningDaemon, eventually

OWN: tuple[Question, ...] = tuple(
    ("GET", path, None)
    for path in (
        "/healthz",
        "/readyz",
        "/metrics",
        "/hublet/v1/status",
        "/hublet/v1/openapi.json",
        "/hublet/v1/proof/a",
    )
)
OTHERS: tuple[Question, ...] = (
    ("GET", "/ide/list-assistants?organizationId=org_acme&alwaysUseProxy=true", None),
    ("GET", "/ide/get-assistant/dana/broken", None),
    ("GET", "/ide/get-assistant/dana/half-broken", None),
    ("GET", "/ide/credits", None),
    ("GET", "/auth/scope", None),
    ("GET", "/registry/v1/acme/house-model/latest", None),
    ("GET", "/v0/acme/house-model/latest/download", None),
)
WRONG: tuple[tuple[Question, int], ...] = (
    (("GET", "/ide/list-assistants?alwaysUseProxy=perhaps", None), 400),
    (("GET", "/ide/get-assistant/dana/never", None), 404),
    (("GET", "/ide/list-assistants?organizationId=org_none", None), 404),
    (("GET", "/registry/v1/acme/none/latest", None), 404),
    (("POST", "/ide/policy", b"{}"), 405),
    (("GET", "/ide/sync-secrets", None), 405),
    (("POST", "/hublet/v1/status", b""), 405),
    (("POST", "/ide/sync-secrets", b"{"), 400),
    (("POST", "/ide/sync-secrets", b'{"fqsns":[1]}'), 400),
    (("GET", "/icons/none", None), 404),
    (("GET", "/hublet/v1/proof/" + "a" * 65, None), 404),
    (("GET", "/ide/policy?" + "a" * 20000, None), 414),
    (("GET", "/ide/get-models-add-on-checkout-url", None), 401),
)
KEY = {"Authorization": f"Bearer {DEMO_KEY}"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Iterator[RunningDaemon]:
    home = Home.make(tmp_path_factory.mktemp("d") / "home", hub.url, settings={"serve": {"socket": "~/api/api.sock"}})
    home.login(DEMO_KEY)
    with home.daemon() as daemon:
        eventually(lambda: " hublet: pass: " in daemon.log.read_text())
        yield daemon


def held(daemon: RunningDaemon, questions: tuple[Question, ...], **headers: str) -> list[Answer]:
    """The answers to all of them, each as the document says."""
    found = ask_all(daemon, questions, headers=headers)
    for (method, target, _), answer in zip(questions, found, strict=True):
        hold(method, target, answer.status, answer.headers, answer.body)
    return found


def statuses(found: list[Answer]) -> set[int]:
    return {answer.status for answer in found}


def test_every_operation_with_the_hub(daemon: RunningDaemon) -> None:
    """All are asked, so that none is described in vain."""
    assert statuses(held(daemon, (*EVERYTHING, *OTHERS, *OWN))) == {200}
    asked = {path_of(target) for _, target, _ in (*EVERYTHING, *OTHERS, *OWN)}
    described = {
        path for path, each in DOCUMENT["paths"].items() for op in each.values() if "passed through" not in op["tags"]
    }
    assert described - asked == {"/hublet/v1/events", "/icons/{name}"}, "these two have tests of their own"


def test_heads_have_no_body(daemon: RunningDaemon) -> None:
    questions = tuple(("HEAD", target, None) for method, target, _ in EVERYTHING if method == "GET")
    for (_, target, _), answer in zip(questions, ask_all(daemon, questions), strict=True):
        hold("GET", target, answer.status, answer.headers, b"{}") if answer.body else None
        assert (answer.status, answer.body) == (200, b"")


def test_what_a_client_has_is_not_sent_again(daemon: RunningDaemon) -> None:
    """304 with the same validators, for every GET that is cached."""
    for question in (*EVERYTHING, *OTHERS):
        if question[0] == "GET":
            etag = ask_all(daemon, (question,))[0].headers["etag"]
            assert statuses(held(daemon, (question,), **{"If-None-Match": etag})) == {304}


def test_icons_are_pictures(daemon: RunningDaemon) -> None:
    (answer,) = ask_all(daemon, (("GET", "/ide/list-organizations", None),))
    names = re.findall(rb"/icons/([\w-]+)", answer.body)
    assert names
    found = held(daemon, tuple(("GET", f"/icons/{name.decode()}", None) for name in names))
    assert 200 in statuses(found)


@pytest.mark.parametrize(("question", "status"), WRONG, ids=[f"{status}-{at}" for at, (_, status) in enumerate(WRONG)])
def test_what_is_wrong_is_declared(daemon: RunningDaemon, question: Question, status: int) -> None:
    assert statuses(held(daemon, (question,))) == {status}


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("POST /ide/sync-secrets HTTP/1.1|Host: localhost:{port}|Content-Length: 1|Expect: wonders", 417),
        ("POST /ide/sync-secrets HTTP/1.1|Host: localhost:{port}|Content-Length: 99999999|{key}", 413),
        ("GET /ide/policy HTTP/1.1|Host: localhost:{port}|A: {long}", 431),
        ("GET /ide/policy HTTP/2.0|Host: localhost:{port}", 505),
        ("GET /ide/policy HTTP/1.1|Host: evil.example", 403),
        ("GET /healthz HTTP/1.1|Host: localhost:{port}|Origin: https://evil.example", 403),
        ("GET /ide/policy HTTP/1.1|Host: localhost:{port}|Authorization: Bearer hublet_none", None),
        ("GET /ide/policy HTTP/1.1", 400),
    ],
)
def test_what_no_client_sends_is_declared(daemon: RunningDaemon, lines: str, status: int | None) -> None:
    """Written by hand: what the door refuses before anything else looks at it."""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=10) as connection:
        text = (
            lines.format(port=daemon.port, long="x" * 70000, key=f"Authorization: {KEY['Authorization']}").replace(
                "|", "\r\n"
            )
            + "\r\n\r\n"
        )
        connection.sendall(text.encode())
        data = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    said = int(first.split()[1])
    assert said == status or (status is None and said in (200, 401, 403))
    method, target = lines.split()[:2]
    hold(method, target, said, {k.lower(): v for k, _, v in (line.partition(": ") for line in rest)}, body)


def test_a_token_that_may_only_read(daemon: RunningDaemon) -> None:
    """Its status is a part, its secrets are not found, and it is not passed through."""
    done = daemon.home.hublet("token", "--name", "scraper", "--scope", "read")
    assert done.returncode == 0, done.stderr
    token = re.search(r"hublet_\S+", done.stdout.decode())
    assert token
    bearer = {"Authorization": f"Bearer {token[0]}"}
    found = held(daemon, (*EVERYTHING, *OTHERS, *OWN), **bearer)
    assert statuses(found) == {200}
    assert "config_problems" not in json.loads(found[len(EVERYTHING) + len(OTHERS) + 3].body)
    assert statuses(held(daemon, (("GET", "/agents", None),), **bearer)) == {403}


def test_what_is_passed_through(daemon: RunningDaemon) -> None:
    questions: tuple[Question, ...] = (
        ("GET", "/ide/get-models-add-on-checkout-url", None),
        ("POST", "/model-proxy/v1/chat/completions", b'{"model":"m","messages":[]}'),
        ("POST", "/model-proxy/v1/chat/completions", b"{}"),
        ("GET", "/agents", None),
    )
    assert statuses(held(daemon, questions, **KEY)) == {200, 400, 404}
    refresh: tuple[Question, ...] = (("POST", "/auth/refresh", b'{"refreshToken":"wrong"}'),)
    assert statuses(held(daemon, refresh)) == {401}
    assert statuses(held(daemon, refresh, **KEY)) == {503}, "a key is no sign-in: only the same user's is passed on"


def test_events_are_as_they_are_described(daemon: RunningDaemon) -> None:
    """The stream's own type; each event's data fits, whatever happens meanwhile."""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as connection:
        head = (
            f"GET /hublet/v1/events HTTP/1.1\r\nHost: localhost:{daemon.port}\r\nAuthorization: {KEY['Authorization']}"
        )
        connection.sendall(f"{head}\r\nLast-Event-ID: 1\r\n\r\n".encode())
        data = b""
        while data.count(b"\ndata: ") < 2:
            piece = connection.recv(65536)
            assert piece
            data += piece
    assert b"content-type: text/event-stream" in data.lower()
    for line in re.findall(rb"^data: (\{.*\})$", data, re.MULTILINE):
        component("Event").validate(json.loads(line))


def test_the_document_is_served_to_who_may_ask_for_the_status(daemon: RunningDaemon) -> None:
    """The bytes that `hublet schema openapi` prints, on the port and on the socket; nothing for a stranger."""
    (answer,) = ask_all(daemon, (("GET", "/hublet/v1/openapi.json", None),))
    assert answer.body == served()
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    printed = daemon.home.hublet("schema", "openapi")
    assert json.loads(printed.stdout) == answer.json() == DOCUMENT
    code = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(b'GET /hublet/v1/openapi.json HTTP/1.0\\r\\n\\r\\n'); f=s.makefile('rb');"
        "sys.stdout.buffer.write(f.read().partition(b'\\r\\n\\r\\n')[2])"
    )
    over_socket = daemon.home.python("-c", code, str(daemon.home.path / "api" / "api.sock"))
    assert over_socket.stdout == answer.body
    (stranger,) = ask_all(
        daemon, (("GET", "/hublet/v1/openapi.json", None),), headers={"Origin": "http://evil.example"}
    )
    assert stranger.status == 403


def test_locked(daemon: RunningDaemon) -> None:
    assert daemon.home.hublet("lock").returncode == 0
    found = held(daemon, (*EVERYTHING, *OTHERS, *OWN))
    assert statuses(found) == {200}
    assert json.loads(found[-3].body)["lock"]["why"] == "asked"


def test_without_the_hub(daemon: RunningDaemon, hub: HubServer) -> None:
    """Last of the tests with this daemon: its Hub ends here."""
    hub.stop()
    assert daemon.home.hublet("sync").returncode == 12
    assert statuses(held(daemon, (*EVERYTHING, *OTHERS, *OWN))) == {200}
    unknown: tuple[Question, ...] = (
        ("GET", "/ide/get-assistant/dana/unheard", None),
        ("GET", "/registry/v1/acme/unheard/latest", None),
        ("GET", "/v0/acme/unheard/latest/download", None),
        ("GET", "/ide/list-assistants?organizationId=org_acme&alwaysUseProxy=false", None),
        ("POST", "/model-proxy/v1/chat/completions", b"{}"),
        ("GET", "/agents/1/state", None),
        ("POST", "/auth/refresh", b"{}"),
        ("GET", "/ide/get-models-add-on-checkout-url", None),
    )
    found = held(daemon, unknown, **KEY)
    assert [answer.status for answer in found] == [503, 503, 503, 200, 503, 503, 503, 503]


def test_with_nothing_at_all(tmp_path: Path) -> None:
    """Nobody is logged in, nothing is cached, and a token is asked for."""
    home = Home.make(tmp_path / "home", "http://127.0.0.1:9")
    with home.daemon() as daemon:
        found = held(daemon, (*EVERYTHING, *OTHERS, *OWN))
        assert statuses(found) == {200, 503}
        assert held(daemon, (("POST", "/ide/sync-secrets", SECRETS),))[0].status == 200
    home.configure("http://127.0.0.1:9", settings={"serve": {"access": "token"}})
    with home.daemon() as daemon:
        assert statuses(held(daemon, (*EVERYTHING, *OTHERS, *OWN))) == {200, 401, 503}
