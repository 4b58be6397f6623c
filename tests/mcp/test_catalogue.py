"""What is asked of the daemon, how often, and what becomes of answers that nobody expects."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from hublet.core.errors import AdminError, HubletError
from hublet.mcp.catalogue import Catalogue, Held


def place(revision: str, organization: str | None = None) -> dict[str, Any]:
    return {"organization": organization, "revision": revision, "pinned": False, "grade": "fresh", "age": 1.0}


class Daemon:
    """Answers by path; counts what it is asked."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers, self.asked = answers, list[str]()

    def __call__(self, path: str) -> Mapping[str, Any]:
        self.asked.append(path)
        answer = self.answers[path]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)


def one(revision: str, rule: str, organization: str | None = None) -> dict[str, Any]:
    return {"title": "T", **place(revision, organization), "config": {"rules": [rule]}}


def listing(**slugs: list[dict[str, Any]]) -> dict[str, Any]:
    found = [{"slug": f"a/{name}", "title": None, "places": places} for name, places in slugs.items()]
    return {"assistants": found, "organizations": []}


def test_each_revision_is_asked_for_once_and_let_go_when_it_is_not_listed() -> None:
    daemon = Daemon({"/assistants": listing(b=[place("1")], c=[place("1")]), "/assistants/a%2Fb": one("1", "x")})
    daemon.answers["/assistants/a%2Fc"] = AdminError("there is no assistant a/c")

    async def conversation() -> None:
        catalogue = Catalogue(daemon)
        for _ in range(2):
            found = await catalogue.instructions(await catalogue.listing())
            assert list(found) == ["a/b/rule-1"], "one that is withdrawn meanwhile is passed over"
        assert daemon.asked.count("/assistants/a%2Fb") == 1
        daemon.answers |= {"/assistants": listing(b=[place("2")]), "/assistants/a%2Fb": one("2", "y")}
        found = await catalogue.instructions(await catalogue.listing())
        assert [each.text for _, each in found.values()] == ["y"]
        assert daemon.asked.count("/assistants/a%2Fb") == 2

    asyncio.run(conversation())


def test_a_variant_is_asked_for_by_its_organization() -> None:
    daemon = Daemon(
        {
            "/assistants": listing(b=[place("1"), place("2", "acme corp")]),
            "/assistants/a%2Fb": one("1", "mine"),
            "/assistants/a%2Fb/acme%20corp": one("2", "theirs", "acme corp"),
        }
    )

    async def conversation() -> None:
        catalogue = Catalogue(daemon)
        entry = (await catalogue.listing()).assistants["a/b"]
        assert (await catalogue.content(entry)).revision == "1"
        assert (await catalogue.content(entry, "acme corp")).revision == "2"

    asyncio.run(conversation())


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (AdminError("Not found"), "of another version"),
        (AdminError("the cache is locked up", hint="x"), "locked up"),
        ({}, "can't be read"),
        ({"assistants": [{"slug": "a/b"}], "organizations": []}, "can't be read"),
        ({"assistants": 5, "organizations": []}, "can't be read"),
    ],
)
def test_a_daemon_that_answers_something_else_is_said(answer: Any, says: str) -> None:
    with pytest.raises(HubletError, match=says):
        asyncio.run(Catalogue(Daemon({"/assistants": answer})).listing())


def test_what_yaml_cant_hold_is_said() -> None:
    with pytest.raises(HubletError, match="a key is too long"):
        Held("a/b", "", None, "1", {"k" * 2000: 1}).to_yaml()
    assert Held("a/b", "", None, "1", None).to_yaml().startswith("# The Hub could not load hublet://a/b;")
