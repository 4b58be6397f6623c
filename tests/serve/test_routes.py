"""The admin door's table: what each request is called in the audit log, and what has no row."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from hublet.core.errors import HubletError
from hublet.core.messages import Head, Malformed, Request
from hublet.door.application import Admitted
from hublet.door.audit import Who
from hublet.serve.admin import Admin
from hublet.serve.routes import ANY, ROUTES, Asked, Route, route_of
from hublet.ui.routes import ROUTES as PAGE
from tests.in_process import in_process, value

NO_ONE = Who("admin", "same-user")


def row(method: str, path: str) -> Route:
    found = route_of(method, tuple(path[1:].split("/")))
    assert found is not None
    return found[0]


def test_each_request_has_one_row() -> None:
    """And each row is found by its own path; a name in a path may be anything."""
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    for route in ROUTES:
        named = tuple("a name" if word == ANY else word for word in route.segments)
        assert route_of(route.method, named) == (route, ("a name",) * route.path.count(ANY))


def test_requests_are_named_in_our_own_words() -> None:
    """Never by what else stands in the path or body, but for the name of a local token."""
    assert row("POST", "/secrets/get").action == "secrets get"
    assert row("GET", "/proof/nonce").action == ""
    revoke, make, login = row("DELETE", "/tokens/zed"), row("POST", "/tokens"), row("POST", "/login")
    assert revoke.action == "token revoke"
    assert revoke.token_of(Asked(("zed",), {})) == make.token_of(Asked((), {"name": "zed"})) == "zed"
    assert make.token_of(Asked((), {})) == make.token_of(Asked((), {"name": 1})) == ""
    assert login.token_of(Asked((), {"key": "con_canary", "name": "x"})) == ""
    assert row("POST", "/secrets/get").secret_of(Asked((), {"name": "KEY"})) == "KEY"
    assert {route.action for route in ROUTES if route.reveals} == {
        "bundle", "export values", "keys escrow", "secrets get", "store accept", "token make", "unlock --offline",
    }  # fmt: skip


def test_what_the_page_asks_has_a_row_that_reveals_nothing() -> None:
    for route in PAGE:
        path = route.target.format(*["a"] * route.target.count("{}"))
        assert not row(route.admin, path).reveals


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/whatever"), ("GET", "/lock"), ("POST", "/secrets/get/KEY"), ("POST", "/keys/other"),
        ("GET", "/store"), ("POST", "/quarantine/other"), ("GET", "/history/a/b/c"), ("GET", "/policy/x"),
        ("POST", "/export/other"), ("GET", "/"),
    ],
)  # fmt: skip
def test_what_has_no_row_is_not_found_and_says_why_that_may_be(tmp_path: Path, method: str, path: str) -> None:
    """In one way below every path; it is written down as `other`."""

    async def go() -> tuple[int, Any]:
        async with in_process(tmp_path) as it:
            answer = await Admin(it.service).respond(Request(Head(method, path)), Admitted(NO_ONE))  # type: ignore[misc]
            assert it.service.audit is not None
            await it.service.audit.flush()
            (line,) = it.service.audit.file.path.read_text().splitlines()
            assert (json.loads(line)["what"], json.loads(line)["detail"]) == ("other", "404")
            return answer.status, value(answer)

    status, said = asyncio.run(go())
    assert (status, said) == (404, {"message": "Not found", "hint": "is another version of hublet running?"})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/login", b"{}"), ("/login", b"[]"), ("/login", b"{"), ("/pins", b'{"what": "a/b"}'),
        ("/bundle", b'{"passphrase": 1}'),
    ],
)  # fmt: skip
def test_a_body_that_is_not_what_the_request_needs_is_refused(tmp_path: Path, path: str, body: bytes) -> None:
    async def go() -> int:
        async with in_process(tmp_path) as it:
            answer = await Admin(it.service).respond(Request(Head("POST", path), body), Admitted(NO_ONE))  # type: ignore[misc]
            return answer.status

    assert asyncio.run(go()) == 400


def test_a_body_is_read_by_its_words() -> None:
    asked = Asked((), {"text": "a", "number": 1})
    assert asked.text("text") == "a"
    for word in ("number", "none"):
        assert asked.secret(word) is None
        with pytest.raises(Malformed):
            asked.text(word)


def test_a_token_has_a_scope_that_there_is(tmp_path: Path) -> None:
    async def go() -> None:
        async with in_process(tmp_path) as it:
            with pytest.raises(HubletError, match=r"one of read, secrets$"):
                await Admin(it.service).handle("POST", ("tokens",), b'{"name": "x", "scope": "all"}')

    asyncio.run(go())
