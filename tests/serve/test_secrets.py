"""Each cached secret has one state; its value is told at a terminal only, by name, and it is written down."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from hublet.config.loading import load_config
from hublet.config.managed import Managed
from hublet.core.errors import HubletError
from hublet.core.ledger import Ledger, Lock
from hublet.core.questions import Secret
from hublet.core.secretstr import SecretStr
from hublet.core.snapshot import Terms
from hublet.core.state import State
from hublet.demo.data import ACME, DEMO_KEY, USER_SECRETS
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from hublet.passes.plan import Plan
from hublet.passes.sync import Sync
from hublet.serve.secrets import Secrets
from hublet.serve.service import Service
from hublet.upstream.order import Hub as Origin
from tests.running import HUBLET, Home, RunningDaemon
from tests.serve.cached import DAY, NOW, NoArchive, hub_state

VALUES = [value for name, value in USER_SECRETS.items() if name != "PIN"]


def secrets(state: State, *, overrides: dict[str, SecretStr] | None = None, clock: float = NOW) -> Secrets:
    terms = Terms(icon=str, etag_key=bytes(32), interval=900, longest=900, seldom=900, max_stale=7 * DAY)

    async def never(*_: object) -> Any:
        raise AssertionError

    service = Service(load_config(None, Managed()), clock=lambda: clock)
    service.sync = Sync(
        NoArchive(), state, Plan(Origin("http://localhost", None), 900), terms, never, clock=lambda: clock
    )
    service.sync.override(overrides or {})
    return Secrets(service)


def shown(state: State, **more: Any) -> dict[tuple[str, str | None], dict[str, Any]]:
    found = asyncio.run(secrets(state, **more).all())["secrets"]
    assert isinstance(found, list)
    text = json.dumps(found, ensure_ascii=False)
    assert not [value for value in VALUES if value in text]
    return {(one["name"], one["scope"]): one for one in found}


def get(name: str, state: State, scope: str | None = None, **more: Any) -> object:
    return asyncio.run(secrets(state, **more).get(name, scope))["value"]


def test_each_secret_has_its_place_its_referrers_and_one_state() -> None:
    """Found at the user, an organization, a package, a trial or nowhere: only the first kind has a value here."""
    found = shown(hub_state())
    key = found["ANTHROPIC_API_KEY", None]
    assert (key["state"], key["found_at"], key["age"]) == ("fresh", "user dana", 0.0)
    assert {"dana/night-owl", "dana/rust-smith", "anthropic/claude-sonnet-4"} <= set(key["referred_by"])
    house = found["HOUSE_KEY", None]
    assert (house["state"], house["found_at"]) == ("location-only", "package acme/house-model")
    theirs = found["ACME_OPENAI_KEY", ACME]
    assert (theirs["state"], theirs["found_at"]) == ("location-only", "organization acme")
    assert (found["NOT_ANYWHERE", None]["state"], found["NOT_ANYWHERE", None]["found_at"]) == ("missing", "nowhere")
    assert len([one for one in found.values() if one["name"] == "PG_PASSWORD"]) == 1
    unnamed = [one for (name, _), one in found.items() if name.startswith("unnamed/")]
    assert {one["found_at"] for one in unnamed} == {"in the config"}


@pytest.mark.parametrize(("age", "state"), [(0, "fresh"), (901, "stale"), (7 * DAY, "expired")])
def test_a_secret_ages(age: float, state: str) -> None:
    """Served while fresh and stale; what has no value does not age into anything."""
    found = shown(hub_state(NOW - age))
    assert found["LLM_KEY", None]["state"] == state
    assert found["HOUSE_KEY", None]["state"] == "location-only"
    if state == "expired":
        with pytest.raises(HubletError, match="has not confirmed LLM_KEY for too long"):
            get("LLM_KEY", hub_state(NOW - age))
    else:
        assert get("LLM_KEY", hub_state(NOW - age)) == USER_SECRETS["LLM_KEY"]


def test_a_locked_cache_tells_no_value() -> None:
    """Neither the Hub's nor the user's own."""
    locked = replace(hub_state(), ledger=Ledger(lock=Lock("asked", NOW)))
    own = {"LLM_KEY": SecretStr("mine")}
    assert shown(locked)["LLM_KEY", None]["state"] == "locked"
    assert shown(locked, overrides=own)["LLM_KEY", None]["state"] == "locked"
    assert shown(locked)["HOUSE_KEY", None]["state"] == "location-only"
    for overrides in (None, own):
        with pytest.raises(HubletError, match="the cache is locked"):
            get("LLM_KEY", locked, overrides=overrides)


def test_an_overridden_secret_says_so_and_gives_the_users_own_value() -> None:
    """Whatever the Hub has to say of it, in every scope."""
    own = {name: SecretStr("mine") for name in ("LLM_KEY", "ACME_OPENAI_KEY", "NOT_ANYWHERE")}
    found = shown(hub_state(NOW - 30 * DAY), overrides=own)
    assert {found[key]["state"] for key in found if key[0] in own} == {"overridden"}
    assert get("LLM_KEY", hub_state(), overrides=own) == "mine"
    assert get("ACME_OPENAI_KEY", hub_state(), ACME, overrides=own) == "mine"


@pytest.mark.parametrize(
    ("name", "scope", "why"),
    [
        ("HOUSE_KEY", None, "the Hub gives no value of HOUSE_KEY: it is package acme/house-model"),
        ("NOT_ANYWHERE", None, "the Hub knows no secret of the name NOT_ANYWHERE"),
        ("LLM_KEY", ACME, "no secret of the name LLM_KEY is cached in org_acme"),
        ("NEVER_HEARD_OF", None, "no secret of the name NEVER_HEARD_OF is cached in the personal scope"),
    ],
)
def test_what_has_no_value_says_why(name: str, scope: str | None, why: str) -> None:
    with pytest.raises(HubletError, match=re.escape(why)):
        get(name, hub_state(), scope)


def test_a_secret_that_only_a_config_shows_is_listed_too() -> None:
    """One whose name was never asked for by itself."""
    state = hub_state()
    kept = {question: known for question, known in state.records.items() if not isinstance(question, Secret)}
    found = shown(State(kept, Ledger()))
    assert (found["PG_PASSWORD", None]["state"], found["PG_PASSWORD", None]["found_at"]) == ("fresh", "in the config")
    assert get("PG_PASSWORD", State(kept, Ledger())) == USER_SECRETS["PG_PASSWORD"]


# With a real daemon


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    place = tmp_path_factory.mktemp("secrets")
    place.chmod(0o755)
    with HubServer(Hub()) as server:
        home = Home.make(place / "home", server.url)
        home.login(DEMO_KEY)
        with home.daemon() as daemon:
            yield daemon


def at_terminal(home: Home, *words: str, typed: bytes = b"", stdout: Callable[[int], Any] = int) -> tuple[int, str]:
    """A command with a terminal as its input and (by default) output; what it wrote there."""
    main, terminal = pty.openpty()
    try:
        process = subprocess.Popen(
            home.command(*HUBLET, *words), stdin=terminal, stdout=stdout(terminal), stderr=terminal,
            env=home.env(), cwd=home.path,
        )  # fmt: skip
        os.write(main, typed)
        os.close(terminal)
        said, deadline = b"", time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                data = os.read(main, 4096)
            except OSError:  # the last one at the other end has gone
                break
            said += data
        return process.wait(10), said.decode()
    finally:
        os.close(main)


def test_the_table_and_the_json_hold_no_value(running: RunningDaemon) -> None:
    for words in (("secrets",), ("secrets", "--json")):
        done = running.home.hublet(*words)
        assert done.returncode == 0, done.stderr.decode()
        text = done.stdout.decode() + done.stderr.decode()
        assert "LLM_KEY" in text
        assert "location-only" in text
        assert not [value for value in VALUES if value in text]


def test_a_value_is_told_at_a_terminal_only_and_audited(running: RunningDaemon) -> None:
    """Not when input or output is a pipe; each telling is in the audit log before the value is out, without it."""
    home = running.home
    piped = home.hublet("secrets", "get", "LLM_KEY")
    assert piped.returncode == 2
    code, said = at_terminal(home, "secrets", "get", "LLM_KEY", stdout=lambda _: subprocess.DEVNULL)
    assert code == 2
    assert "at a terminal only" in said
    code, said = at_terminal(home, "secrets", "get", "LLM_KEY")
    assert (code, said.strip()) == (0, USER_SECRETS["LLM_KEY"])
    audited = home.hublet("audit").stdout.decode()
    assert "secrets get" in audited
    written = "".join(path.read_text() for path in home.data.glob("audit*") if path.is_file())
    assert "secrets get" in written
    assert not [value for value in VALUES if value in written + audited + running.log.read_text()]


def test_locked_it_is_refused_and_nothing_but_a_person_unlocks_it(running: RunningDaemon) -> None:
    """The last one here: the daemon is locked, and unlocked at a terminal."""
    home = running.home
    assert home.hublet("lock").returncode == 0
    code, said = at_terminal(home, "secrets", "get", "LLM_KEY")
    assert code == 1
    assert "the cache is locked" in said
    assert USER_SECRETS["LLM_KEY"] not in said
    assert home.hublet("unlock", "--offline", input=b"y\n").returncode == 2
    assert at_terminal(home, "unlock", "--offline", typed=b"y\n")[0] == 0
    assert at_terminal(home, "secrets", "get", "LLM_KEY")[1].strip() == USER_SECRETS["LLM_KEY"]
