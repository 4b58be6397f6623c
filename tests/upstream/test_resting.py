"""What a pass asks for again, and what rests: of a Hub with validators, request by request."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.in_process import InProcess
from tests.upstream.test_conditional import ACMES, INITECHS, LIST, UNCHANGED, Counting, passed, told

from hublet.core.secretstr import SecretStr


def test_a_pass_with_nothing_changed_asks_for_the_lists_the_policy_and_the_organizations(tmp_path: Path) -> None:
    """Everything else follows from those or hardly changes. It is asked for once a day, by the user's own sync, and by
    the first pass of a process."""

    async def story(it: InProcess, network: Counting) -> None:
        often = {LIST, ACMES, INITECHS, "/ide/policy", "/ide/list-organizations"}
        for _ in range(4):
            assert (await passed(it, network)).keys() == often
            assert {method for method, *_ in network.seen} == {"GET"}
        everything = await passed(it, network, force=True)
        assert len(everything) > 15
        it.clock.advance(86400)
        gone = {target for target in everything if "gone-" in target}  # only a list that comes as a whole leads there
        assert (await passed(it, network)).keys() == everything.keys() - gone
        assert {method for method, *_ in network.seen} == {"GET", "POST"}
        assert (await passed(it, network)).keys() == often

    told(tmp_path, story)


def test_a_persons_own_sync_asks_for_everything_also_when_another_pass_is_running(tmp_path: Path) -> None:
    """It waits for a pass that may leave things out, and joins one that leaves nothing out."""

    async def story(it: InProcess, network: Counting) -> None:
        it.clock.advance(900)
        orders = len(it.orders)
        await asyncio.gather(it.sync.run_pass(), *(it.sync.run_pass(force=True) for _ in range(3)))
        assert [bool(order.rested) for order in it.orders[orders:]] == [True, False]

    told(tmp_path, story)


@pytest.mark.parametrize("up", [False, True])
def test_what_a_new_key_was_told_nothing_with_is_asked_for_whenever_the_hub_is_there(tmp_path: Path, up: bool) -> None:
    """A pass in vain does not count, nor one with the key before."""

    async def story(it: InProcess, network: Counting) -> None:
        it.hub.accept_key("con_another")
        plan = it.sync.plan
        network.up = up
        it.sync.configure(replace(plan, hub=replace(plan.hub, key=SecretStr("con_another"))), it.sync.terms)
        await passed(it, network)
        network.up = True
        await passed(it, network)
        assert [bool(order.rested) for order in it.orders] == [False, False, up]

    told(tmp_path, story)


def test_a_list_that_is_another_has_the_secrets_and_packages_of_its_scope_asked_for_with_it(tmp_path: Path) -> None:
    """A secret that has changed is in the text of some assistant of that list. Nothing of the other scopes is asked
    for."""

    async def story(it: InProcess, network: Counting) -> None:
        it.hub.edit_assistant("acme/backend-reviewer", "Backend Reviewer", "Backend Re-reviewer")
        it.hub.forget_requests()
        seen = await passed(it, network)
        asked = [json.loads(request.body)["orgScopeId"] for request in it.hub.requests if request.method == "POST"]
        assert asked == ["org_acme"]
        assert any(target.startswith("/registry/") for target in seen)
        assert not any("get-assistant" in target or "trial" in target or "scope" in target for target in seen)

    told(tmp_path, story)


def test_every_secret_is_asked_for_although_no_list_names_it_again(tmp_path: Path) -> None:
    """Once a day by POST, with the same names as in a whole pass: the value of a secret that no list shows may have
    changed."""

    async def story(it: InProcess, network: Counting) -> None:
        whole = [request.body for request in it.hub.requests if request.method == "POST"]
        it.hub.forget_requests()
        it.clock.advance(86400)
        assert {status for status, _ in (await passed(it, network)).values()} == UNCHANGED
        again = [request.body for request in it.hub.requests if request.method == "POST"]
        assert sorted(map(_names, again)) == sorted(map(_names, whole))
        assert sum(map(len, map(_names, again))) > 20

    told(tmp_path, story)


def _names(body: bytes) -> list[str]:
    value = json.loads(body)
    return sorted(json.dumps([value["orgScopeId"], fqsn]) for fqsn in value["fqsns"])
