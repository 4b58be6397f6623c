"""Passes over a Hub that gives validators: what is asked conditionally, what that spares, and what never is."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
from hypothesis import given
from hypothesis import strategies as st
from tests.in_process import HUB_URL, READER, Clock, HubTransport, InProcess, in_process, text

from hublet.core import operations as ops
from hublet.core.outcomes import Answered, NotModified
from hublet.core.questions import Assistant, Roster, Slug
from hublet.core.records import Content, Fact, Template
from hublet.core.secretstr import SecretStr
from hublet.core.validators import Validator
from hublet.demo.data import DEMO_KEY
from hublet.demo.faults import Html, Status
from hublet.demo.hub import Hub as DemoHub
from hublet.demo.server import HubServer
from hublet.upstream.http import HubClient
from hublet.upstream.order import Hub, Reader, Told, WorkOrder, order_from_json, order_to_json, word_to_frames
from hublet.upstream.survey import survey

LIST = "/ide/list-assistants?alwaysUseProxy=false"
ACMES, INITECHS = f"{LIST}&organizationId=org_acme", f"{LIST}&organizationId=org_initech"
UNCHANGED = {304}


class Counting(HubTransport):
    """A network that notes (method, target, status, bytes of the body) of each request."""

    def __init__(self, hub: DemoHub) -> None:
        super().__init__(hub)
        self.seen: list[tuple[str, str, int, int]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        body = await response.aread()
        self.seen.append((request.method, request.url.raw_path.decode(), response.status_code, len(body)))
        headers = response.headers
        return httpx.Response(response.status_code, headers=headers, stream=httpx.ByteStream(body), request=request)


Story = Callable[[InProcess, Counting], Awaitable[None]]


def told(
    path: Path,
    story: Story,
    *,
    hub: DemoHub | None = None,
    transport: type[Counting] = Counting,
    **settings: dict[str, object],
) -> None:
    """Run a story of a hublet that is logged in and has made a pass over a Hub with validators."""
    clock = Clock()

    async def telling() -> None:
        given_ = hub or DemoHub(clock=clock, validators=True)
        async with in_process(path, hub=given_, clock=clock, transport=transport, settings=settings) as it:
            await it.log_in()
            assert isinstance(it.network, Counting)
            it.network.seen.clear()
            await story(it, it.network)

    asyncio.run(telling())


async def passed(
    it: InProcess, network: Counting, *, force: bool = False, full: bool = False
) -> dict[str, tuple[int, int]]:
    """Make one more pass, with `force` or `full` as a user does; returns (status, size) of each GET by its target."""
    network.seen.clear()
    it.clock.advance(900)
    await it.sync.run_pass(force=force, full=full)
    return {target: (status, size) for method, target, status, size in network.seen if method == "GET"}


def test_a_pass_with_nothing_changed_transfers_only_heads(tmp_path: Path) -> None:
    """Except for the secrets, which are asked for by POST. Everything is as fresh as after a pass of 200s."""

    async def story(it: InProcess, network: Counting) -> None:
        before = dict(it.sync.state.records)
        for _ in range(3):
            it.clock.advance(86400)
            seen = await passed(it, network)
            assert len(seen) > 15
            whole = {target for target, (status, _) in seen.items() if status == 200}
            assert whole == set(), "these were sent again"
            assert sum(size for status, size in seen.values() if status == 304) == 0
            assert it.sync.state.records == before
            assert it.sync.state.ledger.troubles == {}
            for path in (LIST, ACMES, "/ide/policy", "/ide/list-organizations"):
                assert (await it.ask("GET", path)).header("Age") == "0"

    told(tmp_path, story)


def test_one_changed_assistant_sends_its_lists_and_nothing_else(tmp_path: Path) -> None:
    async def story(it: InProcess, network: Counting) -> None:
        it.hub.edit_assistant("dana/rust-smith", "Rust Smith", "Rust Smithy")
        seen = await passed(it, network)
        assert {target for target, (status, _) in seen.items() if status == 200} == {LIST}
        assert "Rust Smithy" in text(await it.ask("GET", LIST))
        assert {status for status, _ in (await passed(it, network)).values()} == UNCHANGED

    told(tmp_path, story)


def test_secrets_are_found_in_a_list_whose_blocks_are_unchanged(tmp_path: Path) -> None:
    """The block is not sent again, and the secret to which it refers is found all the same."""

    async def story(it: InProcess, network: Counting) -> None:
        path = "/ide/list-assistants?organizationId=org_acme"
        before = text(await it.ask("GET", path, identity=READER))
        it.hub.edit_assistant("acme/backend-reviewer", "Backend Reviewer", "Backend Re-reviewer")
        seen = await passed(it, network)
        assert seen[ACMES][0] == 200
        assert any(target.startswith("/registry/") and status == 304 for target, (status, _) in seen.items())
        after = text(await it.ask("GET", path, identity=READER))
        assert after.replace("Backend Re-reviewer", "Backend Reviewer") == before

    told(tmp_path, story)


def test_validators_outlive_a_restart_and_are_sealed(tmp_path: Path) -> None:
    clock = Clock()
    hub = DemoHub(clock=clock, validators=True)

    async def once(it: InProcess, network: Counting) -> None:
        assert it.sync.state.ledger.validators

    told(tmp_path, once, hub=hub)
    with closing(sqlite3.connect(tmp_path / "data" / "hublet.sqlite3")) as connection:
        dump = b"".join(bytes(row[0]) for row in connection.execute("SELECT sealed FROM records"))
    assert b"If-None-Match" not in dump

    async def again() -> None:
        async with in_process(tmp_path, hub=hub, clock=clock, transport=Counting) as it:
            tags = [v.etag for v in it.sync.state.ledger.validators.values() if v.etag]
            assert tags
            assert not any(tag.encode() in dump for tag in tags)
            assert isinstance(it.network, Counting)
            assert {status for status, _ in (await passed(it, it.network)).values()} == UNCHANGED

    asyncio.run(again())


def test_another_key_asks_for_everything_as_a_whole(tmp_path: Path) -> None:
    """The validators of another account, of another Hub, and from before a fresh start count for nothing."""

    async def story(it: InProcess, network: Counting) -> None:
        it.hub.accept_key("con_another")
        plan = it.sync.plan
        it.sync.configure(replace(plan, hub=replace(plan.hub, key=SecretStr("con_another"))), it.sync.terms)
        assert {status for status, _ in (await passed(it, network)).values()} == {200, 404}
        assert {status for status, _ in (await passed(it, network)).values()} == UNCHANGED
        it.sync.configure(replace(plan, hub=replace(plan.hub, url=f"{HUB_URL}/")), it.sync.terms)
        assert {status for status, _ in (await passed(it, network)).values()} == {200, 404}
        await it.sync.start_over()
        assert it.sync.state.ledger.validators == {}
        assert 304 not in {status for status, _ in (await passed(it, network)).values()}

    told(tmp_path, story)


def test_what_is_held_is_asked_as_a_whole_until_it_is_accepted(tmp_path: Path) -> None:
    """Otherwise the Hub would confirm what it no longer says."""

    async def story(it: InProcess, network: Counting) -> None:
        with it.hub.changing() as world:
            gone, world.roster = list(world.roster), []
        for _ in range(3):
            assert (await passed(it, network))[LIST][0] == 200
            assert Roster(None, False) in it.sync.state.ledger.held
        assert gone[0] in text(await it.ask("GET", LIST)).replace('","packageSlug":"', "/")
        await it.sync.accept(Roster(None, False))
        assert (await passed(it, network))[LIST][0] == 200
        assert (await passed(it, network))[LIST][0] == 304
        assert text(await it.ask("GET", LIST)) == "[]"

    told(tmp_path, story)


def test_a_list_whose_secrets_or_blocks_did_not_come_in_is_asked_as_a_whole(tmp_path: Path) -> None:
    """Only the list tells which they are."""

    async def story(it: InProcess, network: Counting) -> None:
        for prefix in ("/ide/sync-secrets", "/registry/"):
            it.hub.edit_assistant("acme/backend-reviewer", "Backend", "Backend of")
            with it.hub.failing(Status(500), prefix):
                await passed(it, network)
            assert (await passed(it, network))[ACMES][0] == 200
            assert (await passed(it, network))[ACMES][0] == 304

    told(tmp_path, story)


def test_a_stale_answer_is_refreshed_conditionally(tmp_path: Path) -> None:
    """What a client finds stale between two passes."""

    async def story(it: InProcess, network: Counting) -> None:
        network.seen.clear()
        it.clock.advance(1000)
        outcome = await it.sync.ask(ops.ListAssistants(None), wait=5)
        assert isinstance(outcome, NotModified)
        assert [(status, size) for _, _, status, size in network.seen] == [(304, 0)]
        assert (await it.ask("GET", LIST)).header("Age") == "0"
        assert (await passed(it, network))[LIST][0] == 304

    told(tmp_path, story)


def test_a_failure_between_takes_no_validator_away(tmp_path: Path) -> None:
    async def story(it: InProcess, network: Counting) -> None:
        with it.hub.failing(Html()):
            await passed(it, network)
        assert {status for status, _ in (await passed(it, network)).values()} == UNCHANGED

    told(tmp_path, story)


# Between the daemon and its worker

words = st.text(max_size=12)
validators = st.builds(Validator, words, st.none() | words, st.none() | words, words, st.floats(0, 2e9))


@given(validators, st.booleans())
def test_an_order_and_its_words_are_read_as_they_were_written(validator: Validator, whole: bool) -> None:
    block = ops.GetBlock(Slug("acme", "a/b"), "latest")
    order = WorkOrder(
        Hub("http://localhost:1", SecretStr("con_x")),
        whole=whole,
        validators={ops.ListAssistants("é"): validator, block: validator},
        texts={block: "name: é"},
    )
    assert order_from_json(order_to_json(order)) == order
    fact = Fact(Assistant(None, False, Slug("a", "b")), Content(Template(b"{}")))
    for outcome in (Answered((fact,), validator), Answered((fact,)), NotModified(validator), NotModified()):
        told_ = Told(ops.GetAssistant(None, False, Slug("a", "b")), outcome)
        assert list(Reader().feed(b"".join(word_to_frames(told_)))) == [told_]


class Measured(httpx.AsyncHTTPTransport):
    """Real sockets, with the bytes of bodies as they came over them."""

    def __init__(self) -> None:
        super().__init__()
        self.received: dict[str, int] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        pieces = [piece async for piece in response.stream]  # type: ignore[union-attr]
        self.received[request.url.raw_path.decode()] = sum(map(len, pieces))
        return httpx.Response(
            response.status_code, headers=response.headers, stream=httpx.ByteStream(b"".join(pieces)), request=request
        )


def test_what_is_sent_is_compressed_and_what_is_not_modified_is_not_sent() -> None:
    """Over real sockets: a list comes packed, a third of its size or less; the second time nothing but heads come."""
    with HubServer(DemoHub(validators=True)) as server:
        hub = Hub(server.url, SecretStr(DEMO_KEY))

        async def go_over(given_: dict[ops.Operation, Validator]) -> tuple[dict[str, int], list[Told]]:
            network, told_ = Measured(), []
            order = WorkOrder(hub, validators=given_)
            async with HubClient(hub, given_, transport=network) as client:
                await survey(order, client, lambda word: told_.append(word) if isinstance(word, Told) else None)
            return network.received, told_

        packed, first = asyncio.run(go_over({}))
        given_ = {
            word.operation: word.outcome.validator
            for word in first
            if isinstance(word.outcome, Answered) and word.outcome.validator is not None
        }
        plain = server.hub.respond("GET", LIST, {"authorization": f"Bearer {DEMO_KEY}"}).read()
        assert 0 < packed[LIST] < len(plain) / 3
        spared, second = asyncio.run(go_over(given_))
    assert spared[LIST] == 0
    lists = [word.outcome for word in second if isinstance(word.operation, ops.ListAssistants)]
    assert lists
    assert all(isinstance(outcome, NotModified) for outcome in lists)
