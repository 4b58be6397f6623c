"""log, show, diff, pin and unpin through the real daemon, with a client that asks as its IDE does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hublet.demo.data import USER_SECRETS
from hublet.demo.server import HubServer
from tests.running import Home, RunningDaemon, eventually

pytestmark = pytest.mark.slow

SLUG = "dana/night-owl"
PATH = f"/ide/get-assistant/{SLUG}"


def said(home: Home, *words: str, code: int = 0) -> str:
    done = home.hublet(*words)
    assert done.returncode == code, (done.stdout, done.stderr)
    return (done.stdout if code == 0 else done.stderr).decode()


def values(home: Home, *words: str) -> Any:
    return json.loads(said(home, *words, "--json"))


def log(home: Home) -> Any:
    """The revisions in the personal scope, in order."""
    return [one for one in values(home, "log", SLUG) if one["variant"] == "personal"]


def models(daemon: RunningDaemon, path: str = PATH) -> list[str]:
    answer: Any = daemon.ask("GET", path).json()
    one = answer if isinstance(answer, dict) else next(a for a in answer if a["packageSlug"] == "night-owl")
    return [model["name"] for model in one["configResult"]["config"]["models"]]


@pytest.fixture
def changed(logged_in: Home, hub_server: HubServer) -> Home:
    """A home whose Hub has said two things of one assistant."""
    said(logged_in, "sync")
    hub_server.hub.edit_assistant(SLUG, "Claude Opus 4", "Claude Opus 5")
    said(logged_in, "sync")
    return logged_in


def test_a_pinned_revision_is_served_until_it_is_unpinned_whatever_the_hub_says(
    changed: Home, hub_server: HubServer
) -> None:
    with changed.daemon() as daemon:
        assert models(daemon)[0] == "Claude Opus 5"
        assert SLUG in said(changed, "pin", f"{SLUG}@previous")
        for path in (PATH, "/ide/list-assistants"):
            answer = daemon.ask("GET", path)
            assert models(daemon, path)[0] == "Claude Opus 4"
            assert "pinned" in answer.headers["cache-status"]
        pinned: Any = daemon.ask("GET", PATH).json()
        key = pinned["configResult"]["config"]["models"][0]["apiKey"]
        assert key == USER_SECRETS["ANTHROPIC_API_KEY"], "a revision has no values: they are the present ones"
        hub_server.hub.edit_assistant(SLUG, "Claude Opus 5", "Claude Opus 6")
        said(changed, "sync")
        assert models(daemon)[0] == "Claude Opus 4"
        pins = values(changed, "status")["pins"]
        assert {(pin["what"], pin["until"]) for pin in pins} == {(SLUG, None)}
        assert len(pins) == 2, "it is in the personal scope and in an organization's"
        assert b'hublet_events_total{kind="pinned"} 2' in daemon.ask("GET", "/metrics").body
    with changed.daemon() as daemon:
        assert models(daemon)[0] == "Claude Opus 4", "a restart keeps it"
        said(changed, "unpin", SLUG)
        eventually(lambda: models(daemon)[0] == "Claude Opus 6")  # the sync may have joined a pass of before the edit
        assert "pinned" not in daemon.ask("GET", PATH).headers["cache-status"]


def test_the_log_has_a_line_for_each_revision_and_the_names_of_secrets_that_changed(
    changed: Home, hub_server: HubServer
) -> None:
    hub_server.hub.set_secret("ANTHROPIC_API_KEY", "another-value-of-it")
    said(changed, "sync")
    entries = log(changed)
    assert [bool(one["until"]) for one in entries] == [True, True, False]
    assert [one["secrets"] for one in entries] == [[], [], ["ANTHROPIC_API_KEY"]]
    assert len({one["revision"] for one in entries}) == 2, "a value is no revision"
    table = said(changed, "log")
    assert "ANTHROPIC_API_KEY" in table.replace("\n", "") or "secret" in table


def test_a_difference_is_said_in_models_and_rules_and_with_names_of_secrets(
    changed: Home, hub_server: HubServer
) -> None:
    hub_server.hub.set_secret("ANTHROPIC_API_KEY", "another-value-of-it")
    said(changed, "sync")
    first = log(changed)[0]["revision"]
    found = values(changed, "diff", f"{SLUG}@{first}")["differences"]
    told = {(one["section"], one["name"], one["how"]) for one in found}
    assert ("models", "Claude Opus 5", "added") in told
    assert ("models", "Claude Opus 4", "removed") in told
    assert ("secrets", "ANTHROPIC_API_KEY", "changed") in told
    text = said(changed, "diff", f"{SLUG}@{first}", SLUG)
    assert "models: Claude Opus 5 added" in text
    for value in (*USER_SECRETS.values(), "another-value-of-it"):
        assert value not in json.dumps(found)


def test_two_assistants_can_be_compared(changed: Home) -> None:
    found = values(changed, "diff", SLUG, "dana/data-desk")["differences"]
    assert {one["section"] for one in found} >= {"models", "settings"}


def test_a_revision_is_shown_with_references_in_place_of_values(changed: Home) -> None:
    now, before = said(changed, "show", SLUG), said(changed, "show", f"{SLUG}@previous")
    assert "Claude Opus 5" in now
    assert "Claude Opus 4" in before
    assert "apiKey: ${{ secrets.ANTHROPIC_API_KEY }}" in before
    assert "# Written by hand" in said(changed, "show", "--raw", SLUG)
    assert not any(value in now + before for value in USER_SECRETS.values() if len(value) > 8)


def test_what_the_hub_has_withdrawn_can_be_seen_and_is_not_served(logged_in: Home, hub_server: HubServer) -> None:
    said(logged_in, "sync")
    said(logged_in, "pin", f"{SLUG}@now")
    hub_server.hub.remove_assistant(SLUG)
    said(logged_in, "sync")
    said(logged_in, "sync")
    with logged_in.daemon() as daemon:
        assert daemon.ask("GET", PATH).status == 404, "pinned or not"
        assert "Claude Opus 4" in said(logged_in, "show", f"{SLUG}@{log(logged_in)[0]['revision']}")
        assert "withdrawn" in said(logged_in, "pin", f"{SLUG}@now", code=1)


def test_a_pin_for_a_time_ends_by_itself(changed: Home) -> None:
    with changed.daemon() as daemon:
        assert "until" in said(changed, "pin", f"{SLUG}@previous", "--for", "3d")
        assert values(changed, "status")["pins"][0]["until"] > 0
        assert models(daemon)[0] == "Claude Opus 4"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("log", "nobody/nothing"), "nothing is known of nobody/nothing"),
        (("show", f"{SLUG}@ffffffffffff"), "has no revision ffffffffffff"),
        (("pin", f"{SLUG}@ffff"), "has no revision ffff"),
        (("pin", "policy@now"), "only an assistant can be pinned"),
        (("unpin", SLUG), f"{SLUG} is not pinned"),
    ],
)
def test_what_is_not_there_is_said(changed: Home, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in said(changed, *words, code=1)


def test_a_pin_needs_a_revision(changed: Home) -> None:
    assert "names no revision" in said(changed, "pin", SLUG, code=2)
    assert "--for" in said(changed, "pin", f"{SLUG}@now", "--for", "soon", code=2)


def test_another_account_finds_no_history(changed: Home, hub_server: HubServer) -> None:
    hub_server.hub.accept_key("con_another_key_not_secret")
    done = changed.hublet("login", "--fresh", input=b"con_another_key_not_secret")
    assert done.returncode == 0, done.stderr
    assert len(log(changed)) == 1
