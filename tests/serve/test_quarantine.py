"""What is held, as the commands see it: the difference without a secret, the person's word, and what it does."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from hublet.core.errors import HubletError
from hublet.demo.data import USER_SECRETS
from hublet.serve.admin import Admin
from tests.in_process import InProcess, in_process, value

SLUG = "dana/held"
SOURCE = """\
name: Held
version: 1.0.0
schema: v1
rules:
  - Answer briefly.
mcpServers:
  - name: Tools
    command: npx
    args: ["-y", "tools"]
    env:
      TOKEN: ${{ secrets.GITHUB_TOKEN }}
"""
LIST = "/ide/list-assistants"


async def told(it: InProcess, action: str, what: str) -> Any:
    response = await Admin(it.service, uid=os.getuid()).handle(
        "POST", ("quarantine", action), json.dumps({"what": what}).encode()
    )
    assert response.status == 200
    assert isinstance(response.body, bytes)
    assert not [secret for secret in USER_SECRETS.values() if len(secret) > 8 and secret.encode() in response.body]
    return json.loads(response.body)


async def running(it: InProcess) -> str:
    listed: Any = value(await it.ask("GET", LIST))
    (one,) = [one for one in listed if f"{one['ownerSlug']}/{one['packageSlug']}" == SLUG]
    return str(one["configResult"]["config"]["mcpServers"][0]["command"])


def test_a_held_assistant_is_shown_by_what_differs_and_stays_as_the_person_says(tmp_path: Path) -> None:
    """Shown with its endpoints and its other parts; rejected it stays and is not told again, although a secret of it is
    rotated; another change is told; accepted it is served."""

    async def go() -> None:
        async with in_process(tmp_path, settings={"sync": {"hold_commands": "true"}}) as it:
            it.hub.put_assistant(SLUG, SOURCE)
            await it.log_in()
            it.hub.edit_assistant(SLUG, "command: npx", "command: sh")
            it.hub.edit_assistant(SLUG, "Answer briefly.", "Answer at length.")
            it.clock.advance(900)
            await it.sync.run_pass()
            assert await running(it) == "npx"
            (shown,) = (await told(it, "show", SLUG))["held"]
            assert shown["endpoints"] == ["mcpServers Tools: command: npx → sh"]
            said = json.dumps(shown["differences"], ensure_ascii=False)
            assert "command: npx → sh" in said
            assert "Answer at length." in said
            await told(it, "reject", SLUG)
            assert not it.sync.state.ledger.waiting
            it.hub.set_secret("GITHUB_TOKEN", "canary-rotated-token")
            it.clock.advance(900)
            await it.sync.run_pass()
            assert not it.sync.state.ledger.waiting, "a rotated secret is no other proposal"
            (shown,) = (await told(it, "show", SLUG))["held"]
            assert shown["rejected"]
            assert "canary" not in json.dumps(shown)
            assert {"section": "secrets", "name": "GITHUB_TOKEN", "how": "changed", "lines": []} in shown["differences"]
            assert await running(it) == "npx"
            it.hub.edit_assistant(SLUG, "command: sh", "command: bash")
            it.clock.advance(900)
            await it.sync.run_pass()
            assert len(it.sync.state.ledger.waiting) == 1
            await told(it, "accept", SLUG)
            assert await running(it) == "bash"
            assert it.sync.state.ledger.held == {}

    asyncio.run(go())


@pytest.mark.parametrize("action", ["show", "accept", "reject"])
def test_what_is_not_held_is_an_error_with_a_hint(tmp_path: Path, action: str) -> None:
    """And changes nothing."""

    async def go() -> None:
        async with in_process(tmp_path) as it:
            await it.log_in()
            before = it.sync.state
            with pytest.raises(HubletError) as caught:
                await told(it, action, "everything")
            assert caught.value.hint == "see `hublet quarantine --all`"
            assert it.sync.state is before
            response = await Admin(it.service).handle("POST", ("quarantine", "other"), b'{"what": "x"}')
            assert response.status == 404

    asyncio.run(go())


def test_a_rejection_outlasts_a_restart(tmp_path: Path) -> None:
    """It is kept with what is held."""

    async def go() -> None:
        async with in_process(tmp_path) as it:
            await it.log_in()
            with it.hub.changing() as world:
                world.roster.clear()
            it.clock.advance(900)
            await it.sync.run_pass()
            await told(it, "reject", "assistants of the personal scope")
            hub, clock = it.hub, it.clock
        async with in_process(tmp_path, hub=hub, clock=clock) as it:
            clock.advance(900)
            await it.sync.run_pass()
            (held,) = it.sync.state.ledger.held.values()
            assert held.rejected
            assert not it.sync.state.ledger.waiting

    asyncio.run(go())
