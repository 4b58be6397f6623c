"""What the Hub says is unchanged and is asked for as a whole all the same: within a week, when a person wants to be
sure, and when something was lost here."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from tests.in_process import Clock, InProcess, in_process, text
from tests.upstream.test_conditional import LIST, Counting, passed, told

from hublet.demo.hub import Hub
from hublet.store.archive import without_validators
from hublet.store.check import repair


class Liar(Counting):
    """A Hub, or a proxy before it, that says of everything that it is unchanged."""

    lies = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.lies and request.headers.keys() & {"if-none-match", "if-modified-since"}:
            return httpx.Response(304, stream=httpx.ByteStream(b""), request=request)
        return await super().handle_async_request(request)


@pytest.mark.parametrize(("full", "days"), [(False, 7), (True, 1)])
def test_a_hub_that_says_unchanged_to_everything_is_not_believed_for_ever(
    tmp_path: Path, full: bool, days: int
) -> None:
    """A week at most, and never by `hublet sync --full`."""

    async def story(it: InProcess, network: Counting) -> None:
        assert isinstance(network, Liar)
        network.lies = True
        it.hub.edit_assistant("dana/rust-smith", "Rust Smith", "Rust Smithy")
        await passed(it, network)
        assert "Rust Smithy" not in text(await it.ask("GET", LIST))
        for _ in range(days):
            it.clock.advance(86400)
            await passed(it, network, full=full)
        assert "Rust Smithy" in text(await it.ask("GET", LIST))

    told(tmp_path, story, transport=Liar)


@pytest.mark.parametrize("repaired", [False, True])
@pytest.mark.parametrize("kind", ["secret", "icon", "block"])
def test_what_was_lost_on_the_disk_is_asked_for_again_although_its_list_is_unchanged(
    tmp_path: Path, kind: str, repaired: bool
) -> None:
    """In the first pass; also when a repair has left it out meanwhile, and nothing tells any more that it was there."""
    clock = Clock()
    hub = Hub(clock=clock, validators=True)
    file = tmp_path / "data" / "hublet.sqlite3"

    async def life() -> None:
        async with in_process(tmp_path, hub=hub, clock=clock) as it:
            await it.log_in()
            before = {question for question in it.sync.state.records if question.kind == kind}
            archive = it.service.archive
            assert archive is not None
            envelope, header = archive.envelope, archive.header
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("UPDATE records SET sealed = zeroblob(300) WHERE kind = ?", (kind,))
        if repaired:
            done = repair(
                file, envelope, header, os.urandom, at_least=0, accept_missing=False, mended=without_validators
            )
            assert done.dropped == len(before) > 0
        async with in_process(tmp_path, hub=hub, clock=clock) as it:
            assert it.service.lost_records == (0 if repaired else len(before))
            assert not any(question.kind == kind for question in it.sync.state.records)
            clock.advance(900)
            await it.sync.run_pass()
            assert before == {question for question in it.sync.state.records if question.kind == kind}

    asyncio.run(life())
