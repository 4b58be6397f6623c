"""What clients are answered from the cache: the real service in one process, with its own time."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from hublet.core.questions import Roster
from hublet.demo.reply import Seen
from tests.in_process import READER, InProcess, in_process, text, value
from tests.serve.synced import CACHED, EVERY, LIST, LLM_KEY, cache_status, fqsn, told, until

# From the cache


def test_what_is_cached_is_answered_at_once_and_without_the_hub(tmp_path: Path) -> None:
    """In the turn in which it was asked: the Response itself, no awaitable."""

    async def story(it: InProcess) -> None:
        for path in CACHED:
            assert it.at_once("GET", path), path
        known = json.dumps({"fqsns": [fqsn("dana/local-chat", "LLM_KEY")]}).encode()
        assert it.at_once("POST", "/ide/sync-secrets", known)
        assert not it.at_once("GET", "/ide/get-assistant/dana/never-seen")
        assert it.hub.requests == []

    told(tmp_path, story)


def test_headers_of_an_answer(tmp_path: Path) -> None:
    """Age and Cache-Status tell how old the Hub's word is; the ETag is strong and stands still with the body."""

    async def story(it: InProcess) -> None:
        for path in CACHED:
            first = await it.ask("GET", path)
            assert (first.status, first.header("Content-Type")) == (200, "application/json; charset=utf-8")
            assert first.header("Age") == "0"
            etag = first.header("ETag")
            assert etag is not None
            assert etag.startswith('"')
            it.clock.advance(7)
            again = await it.ask("GET", path)
            assert again.header("Age") == str(int(first.header("Age") or 0) + 7)
            assert (again.body, again.header("ETag")) == (first.body, etag)
            it.clock.advance(-7)
        it.clock.advance(100)
        assert cache_status(await it.ask("GET", LIST)) == "hublet; hit; ttl=800"
        assert cache_status(await it.ask("GET", "/ide/free-trial-status")) == "hublet; hit; ttl=86300"

    told(tmp_path, story)


def test_a_client_that_has_the_answer_is_told_so(tmp_path: Path) -> None:
    """304 with the same validators and no body; only for GET and HEAD, only for the very answer."""

    async def story(it: InProcess) -> None:
        etag = (await it.ask("GET", LIST)).header("ETag") or ""
        for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            for method in ("GET", "HEAD"):
                again = await it.ask(method, LIST, headers={"If-None-Match": sent})
                assert (again.status, again.body) == (304, b""), sent
                assert again.header("ETag") == etag
                assert again.header("Content-Type") is None
        for sent in ('"other"', etag.strip('"'), ""):
            assert (await it.ask("GET", LIST, headers={"If-None-Match": sent})).status == 200
        body = {"fqsns": [fqsn("dana/local-chat", "LLM_KEY")]}
        secrets = (await it.ask("POST", "/ide/sync-secrets", body)).header("ETag") or ""
        again = await it.ask("POST", "/ide/sync-secrets", body, headers={"If-None-Match": secrets})
        assert again.status == 200
        reader = (await it.ask("GET", LIST, identity=READER)).header("ETag")
        assert reader != etag
        it.hub.edit_assistant("dana/rust-smith", "Rust Smith", "Rust Smithy")
        await it.sync.run_pass()
        assert (await it.ask("GET", LIST, headers={"If-None-Match": etag})).status == 200

    told(tmp_path, story)


def test_a_pass_in_which_nothing_changed_changes_no_body(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        before = [(await it.ask("GET", path)).body for path in CACHED]
        it.clock.advance(600)
        await it.sync.run_pass(force=True)
        after = [await it.ask("GET", path) for path in CACHED]
        assert [answer.body for answer in after] == before
        assert {answer.header("Age") for answer in after} == {"0"}

    told(tmp_path, story)


def test_grades_over_time(tmp_path: Path) -> None:
    """Fresh for an interval, then stale and still served; a stale answer starts one refresh, which nobody waits for."""

    async def story(it: InProcess) -> None:
        it.clock.advance(EVERY - 1)
        assert cache_status(await it.ask("GET", LIST)) == "hublet; hit; ttl=1"
        await asyncio.sleep(0)
        assert it.orders == []
        it.clock.advance(1)
        it.network.gate.clear()
        for _ in range(3):
            stale = await it.ask("GET", LIST)
            assert cache_status(stale) == "hublet; hit; ttl=0; detail=stale"
            assert stale.header("Age") == str(int(EVERY))
        await until(lambda: it.network.waiting)
        it.network.gate.set()
        await until(lambda: it.sync.snapshot.grade(Roster(None, False), it.clock()) == "fresh")
        assert it.hub.count(LIST) == 1
        assert (await it.ask("GET", LIST)).header("Age") == "0"
        assert cache_status(await it.ask("GET", LIST)) == f"hublet; hit; ttl={int(EVERY)}"
        # The others were not asked for and are stale.
        assert "detail=stale" in cache_status(await it.ask("GET", "/ide/policy"))

    told(tmp_path, story)


def test_a_dead_hub_changes_nothing_but_the_age(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        before = [(await it.ask("GET", path)).body for path in CACHED]
        it.network.up = False
        for _ in range(5):
            it.clock.advance(86400)
            summary = await it.sync.run_pass()
            assert summary.answered == 0
        for path, body in zip(CACHED, before, strict=True):
            answer = await it.ask("GET", path)
            assert answer.status == 200
            assert answer.body == body
            assert answer.header("Age") == str(5 * 86400)
            assert "detail=stale" in cache_status(answer)

    told(tmp_path, story)


def test_secrets_that_nobody_confirmed_for_too_long_are_not_served(tmp_path: Path) -> None:
    """After secrets.max_stale configs have references in place of values, secrets are not found; a pass ends that."""

    async def story(it: InProcess) -> None:
        body = {"fqsns": [fqsn("dana/local-chat", "LLM_KEY")]}
        before = text(await it.ask("GET", LIST))
        assert LLM_KEY in before
        it.network.up = False
        it.clock.advance(2 * 86400 - 1)
        it.sync.republish_if_due()
        assert LLM_KEY in text(await it.ask("GET", LIST))
        it.clock.advance(1)
        it.sync.republish_if_due()
        expired = await it.ask("GET", LIST)
        assert expired.status == 200
        assert "canary-user-" not in text(expired)
        assert "${{ secrets.LLM_KEY }}" in text(expired)
        assert 'detail="secrets withheld"' in cache_status(expired)
        ((result,)) = value(await it.ask("POST", "/ide/sync-secrets", body))  # type: ignore[misc]
        assert result["found"] is False
        assert result["secretLocation"] == {"secretType": "not_found", "secretName": "LLM_KEY"}
        # What has no secret is served as ever.
        assert "detail=stale" in cache_status(await it.ask("GET", "/ide/policy"))
        it.network.up = True
        await it.sync.run_pass()
        assert text(await it.ask("GET", LIST)) == before

    told(tmp_path, story, settings={"secrets": {"max_stale": "2d"}})


def test_who_may_only_read_sees_references(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        for path in (LIST, "/ide/get-assistant/dana/local-chat", "/ide/list-assistants?organizationId=org_acme"):
            clear, read = text(await it.ask("GET", path)), text(await it.ask("GET", path, identity=READER))
            assert "canary-user-" in clear
            assert "canary-user-" not in read
            assert "${{ secrets." in read
            assert text(await it.ask("GET", path)) == clear

    told(tmp_path, story)


# The disk


def test_serving_goes_on_without_a_disk_and_is_saved_with_the_next_pass(tmp_path: Path) -> None:
    """What could not be saved is in memory; once the disk is back a pass that brings nothing new saves it all."""
    database = tmp_path / "data" / "hublet.sqlite3"

    async def story(it: InProcess) -> None:
        with closing(sqlite3.connect(database)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")  # nobody else can write now
            it.hub.edit_assistant("dana/rust-smith", "Rust Smith", "Rust Smithy")
            it.clock.advance(60)
            summary = await it.sync.run_pass()
            assert summary.changed == 1
            assert [problem.partition(":")[0] for problem in summary.problems] == ["not saved to disk"]
            assert "Rust Smithy" in text(await it.ask("GET", LIST))
            assert it.sync.saving.failed_since == it.clock()
            assert it.sync.saving.reason.startswith("the cache can't be written")
            somebody.rollback()
        it.clock.advance(60)
        assert (await it.sync.run_pass()).changed == 0
        assert it.sync.saving.failed_since is None

    told(tmp_path, story)

    async def after_a_restart() -> None:
        async with in_process(tmp_path) as it:
            it.network.up = False
            assert "Rust Smithy" in text(await it.ask("GET", LIST))

    asyncio.run(after_a_restart())


def test_a_restart_without_the_hub_serves_the_same_bytes(tmp_path: Path) -> None:
    before: list[bytes] = []

    async def story(it: InProcess) -> None:
        before.extend([text(await it.ask("GET", path)).encode() for path in CACHED])

    told(tmp_path, story)

    async def after_a_restart() -> None:
        async with in_process(tmp_path) as it:
            it.network.up = False
            assert [(await it.ask("GET", path)).body for path in CACHED] == before

    asyncio.run(after_a_restart())


def test_the_hub_sees_the_key_and_nothing_of_the_clients(tmp_path: Path) -> None:
    """Whatever a client sends along, what is asked for it goes out with the account's key and our own headers."""

    async def story(it: InProcess) -> None:
        sent = {"Authorization": "Bearer eyJ.of.a.session", "X-Spy": "spied", "User-Agent": "node"}
        await it.ask("GET", "/ide/get-assistant/acme/wanderer", headers=sent)
        (request,) = it.hub.requests
        assert isinstance(request, Seen)
        assert request.authorization_kind == "key"
        assert "spied" not in str(request.headers)
        assert "node" not in str(request.headers)

    told(tmp_path, story)
