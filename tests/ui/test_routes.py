"""The page's whole list of questions: what is not in it can't be asked through the page."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.messages import Head, Malformed, is_segment
from hublet.ui.routes import ANY, ROUTES, route_of

NAMES = st.text(min_size=1, max_size=40).filter(is_segment)

READING = {
    "/status", "/tally", "/secrets", "/history", "/history/{}", "/diff/{}/{}", "/quarantine/show",
}  # fmt: skip
CHANGING = {"/quarantine/accept", "/quarantine/reject", "/pins", "/pins/{}"}
NEVER = ("get", "keys", "tokens", "forget", "export", "bundle", "import", "login", "unlock", "lock", "store", "proof")


def test_the_list_is_this_one() -> None:
    """Who adds a row says here what it is for."""
    assert {route.target for route in ROUTES} == READING | CHANGING
    assert {route.target for route in ROUTES if route.method == "POST"} == CHANGING | {"/quarantine/show"}
    for route in ROUTES:
        assert not set(route.target.split("/")) & set(NEVER)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ("secrets", "get")), ("GET", ("keys",)), ("POST", ("keys", "escrow")), ("GET", ("tokens",)),
        ("POST", ("tokens",)), ("POST", ("forget",)), ("POST", ("export", "values")), ("POST", ("bundle",)),
        ("POST", ("login",)), ("POST", ("unlock",)), ("POST", ("lock",)), ("POST", ("store", "backup")),
        ("POST", ("status",)), ("GET", ("pin",)), ("DELETE", ("pins", "acme/dev")), ("GET", ("audit",)),
        ("GET", ("history", "a", "b")), ("GET", ()), ("GET", ("",)), ("GET", ("status", "")),
    ],
)  # fmt: skip
def test_what_is_not_in_it_is_not_found(method: str, path: tuple[str, ...]) -> None:
    """Neither what reveals nor what destroys, nor a known path asked in another way."""
    assert route_of(method, path) is None


@given(st.lists(NAMES, min_size=2, max_size=2))
def test_a_name_stays_one_segment(names: list[str]) -> None:
    """Whatever is in it: slashes, question marks, percent signs, line ends."""
    for route in ROUTES:
        if route.method != "GET":
            continue
        given_names = iter(names)
        path = tuple(next(given_names) if part == ANY else part for part in route.path)
        target, body = route.question(path, b"")
        assert body is None
        assert target.isascii()
        assert target.isprintable()
        assert " " not in target
        found = Head("GET", target).segments
        assert found == tuple(
            name if part == "{}" else part for part, name in zip(route.target[1:].split("/"), path, strict=True)
        )


@given(NAMES)
def test_the_words_of_a_body_go_where_their_row_says(what: str) -> None:
    """Into the body, or into the path as one segment."""
    for route in ROUTES:
        if route.method == "POST":
            words = dict.fromkeys(route.takes + route.fills, what)
            target, body = route.question(route.path, json.dumps(words).encode())
            assert body == (dict.fromkeys(route.takes, what) or None)
            assert Head("POST", target).segments[1:] == tuple(
                what if part == "{}" else part for part in route.target.split("/")[2:]
            )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"what": 1}',
        b'{"what": null}',
        b'{"what": "a", "more": "b"}',
        b'{"What": "a"}',
    ],
)
def test_another_body_is_refused(body: bytes) -> None:
    """Too little, too much, another type: nothing of it is handed on."""
    route = route_of("POST", ("quarantine", "accept"))
    assert route is not None
    with pytest.raises(Malformed):
        route.question(route.path, body)
