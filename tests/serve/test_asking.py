"""When the Hub is asked for what a client wants: what was never asked before, and no more than that."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from hublet.demo.assistants import chat
from hublet.demo.data import USER_SECRETS
from hublet.demo.faults import ErrorPage, Hang, Html, Status
from tests.in_process import InProcess, text, value
from tests.serve.synced import LIST, LLM_KEY, cache_status, fqsn, told, until


def test_only_missing_secrets_are_asked_for_in_one_request(tmp_path: Path) -> None:
    """Order, length and every fqsn are kept: clients join the answer with their question by its index."""

    async def story(it: InProcess) -> None:
        known, new = fqsn("dana/local-chat", "LLM_KEY"), fqsn("dana/local-chat", "GITHUB_TOKEN")
        absent = fqsn("dana/quiet", "NO_SUCH_SECRET")
        strange = {"packageSlugs": "all", "secretName": 7}
        question = [new, known, strange, absent, new, known]
        answer = await it.ask("POST", "/ide/sync-secrets", {"fqsns": question, "orgScopeId": None})
        (request,) = it.hub.requests
        assert json.loads(request.body)["fqsns"] == [new, absent]
        results = value(answer)
        assert isinstance(results, list)
        assert [result["fqsn"] for result in results] == question
        values = [result.get("value") for result in results]
        assert values == [USER_SECRETS["GITHUB_TOKEN"], LLM_KEY, None, None, USER_SECRETS["GITHUB_TOKEN"], LLM_KEY]
        assert [result["found"] for result in results] == [True, True, False, False, True, True]
        assert "fwd=uri-miss" in cache_status(answer)
        again = await it.ask("POST", "/ide/sync-secrets", {"fqsns": question})
        assert again.body == answer.body
        assert len(it.hub.requests) == 1

    told(tmp_path, story)


def test_offline_an_unknown_secret_is_not_found_and_spoils_no_other(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        it.network.up = False
        question = [fqsn("dana/quiet", "NOBODY_HAS_IT"), fqsn("dana/local-chat", "LLM_KEY")]
        answer = await it.ask("POST", "/ide/sync-secrets", {"fqsns": question})
        assert answer.status == 200
        unknown, known = value(answer)  # type: ignore[misc]
        assert unknown == {
            "found": False,
            "fqsn": question[0],
            "secretLocation": {"secretType": "not_found", "secretName": "NOBODY_HAS_IT"},
        }
        assert (known["found"], known["value"]) == (True, LLM_KEY)

    told(tmp_path, story)


def test_the_organization_of_secrets_goes_by_id_or_else_by_slug(tmp_path: Path) -> None:
    """Acme's ANTHROPIC_API_KEY hides Dana's; its value stays with the Hub."""

    async def story(it: InProcess) -> None:
        question = [fqsn("acme/house-style", "ANTHROPIC_API_KEY")]
        types = []
        for where in (
            {},
            {"orgScopeId": "org_acme"},
            {"orgScopeSlug": "acme"},
            {"orgScopeId": "org_initech", "orgScopeSlug": "acme"},
        ):
            (result,) = value(await it.ask("POST", "/ide/sync-secrets", {"fqsns": question, **where}))  # type: ignore[misc]
            types.append((result["secretLocation"]["secretType"], "value" in result))
        assert types == [("user", True), ("organization", False), ("organization", False), ("user", True)]

    told(tmp_path, story)


# What was never asked


def test_a_new_question_is_asked_once_however_many_wait_for_it(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        with it.hub.changing() as world:
            world.sources["acme/wanderer"] = chat("Wanderer", "http://localhost:1/v1")
        path = "/ide/get-assistant/acme/wanderer"
        it.network.gate.clear()
        waiting = [asyncio.create_task(it.ask("GET", path)) for _ in range(5)]
        await until(lambda: it.network.waiting)
        it.network.gate.set()
        answers = await asyncio.gather(*waiting)
        assert {answer.status for answer in answers} == {200}
        assert len({answer.body for answer in answers}) == 1
        assert "fwd=uri-miss; stored" in cache_status(answers[0])
        assert it.hub.count(path) == 1
        assert "hit" in cache_status(await it.ask("GET", path))

    told(tmp_path, story)


def test_a_client_is_not_kept_waiting_by_a_slow_hub_and_its_answer_is_not_lost(tmp_path: Path) -> None:
    """503 after serve.wait; the asking goes on, and the next one gets what it brought."""

    async def story(it: InProcess) -> None:
        with it.hub.changing() as world:
            world.sources["acme/wanderer"] = chat("Wanderer", "http://localhost:1/v1")
        path = "/ide/get-assistant/acme/wanderer"
        it.network.gate.clear()
        first = await it.ask("GET", path)
        assert first.status == 503
        assert "takes too long" in text(first)
        assert it.at_once("GET", LIST)  # everything else goes on
        it.network.gate.set()
        await until(lambda: it.at_once("GET", path))
        assert (await it.ask("GET", path)).status == 200
        assert it.hub.count(path) == 1

    told(tmp_path, story, settings={"serve": {"wait": "0s"}})


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Html(), 503), (ErrorPage(), 503), (Hang(), 503), (Status(500), 503), (Status(401, "Unauthorized"), 503),
     (Status(429, "Slow down", retry_after=7), 503), (Status(404, "User not found"), 404),
     (Status(403, "Not yours"), 403), (Status(404, "Assistant not found"), 404)],
)  # fmt: skip
def test_what_is_said_when_the_hub_has_no_answer_either(tmp_path: Path, fault: object, status: int) -> None:
    """503 where nobody knows; the Hub's own words where it spoke. Never a 401: clients would log their user out."""

    async def story(it: InProcess) -> None:
        it.hub.inject(fault, "/ide/get-assistant/acme/wanderer")  # type: ignore[arg-type]
        answer = await it.ask("GET", "/ide/get-assistant/acme/wanderer")
        assert answer.status == status
        said = value(answer)
        assert isinstance(said, dict)
        if status != 503:
            assert isinstance(fault, Status)
            assert said == {"message": fault.message}
        if fault == Status(401, "Unauthorized"):
            assert said["hint"] == "run `hublet login`"
        if isinstance(fault, Status) and fault.code == 429:
            assert answer.header("Retry-After") == "7"

    told(tmp_path, story)


def test_after_a_hub_that_could_not_be_reached_clients_are_answered_at_once(tmp_path: Path) -> None:
    """It is not tried again for each of them: only after some seconds."""

    async def story(it: InProcess) -> None:
        it.network.up = False
        for _ in range(3):
            assert (await it.ask("GET", "/ide/get-assistant/acme/wanderer")).status == 503
        assert len(it.orders) == 1
        it.clock.advance(11)
        it.network.up = True
        assert (await it.ask("GET", "/ide/get-assistant/acme/wanderer")).status == 404
        assert len(it.orders) == 2

    told(tmp_path, story)


def test_a_retry_after_is_heeded_but_a_persons_own_sync_asks(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        with it.hub.failing(Status(429, "Slow down", retry_after=120)):
            await it.sync.run_pass()
        it.hub.forget_requests()
        it.clock.advance(60)
        summary = await it.sync.run_pass()
        assert it.hub.requests == []
        assert summary.problems == ("the Hub asked to wait 60 s more",)
        refused = await it.ask("GET", "/ide/get-assistant/acme/wanderer")
        assert (refused.status, refused.header("Retry-After")) == (503, "60")
        assert (await it.sync.run_pass(force=True)).problems == ()
        it.hub.forget_requests()
        it.clock.advance(61)
        assert (await it.sync.run_pass()).problems == ()
        assert it.hub.requests != []

    told(tmp_path, story)


def test_a_second_trigger_joins_a_running_pass(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        it.network.gate.clear()
        first = asyncio.create_task(it.sync.run_pass(force=True))
        await until(lambda: it.network.waiting)
        words: list[object] = []
        second = asyncio.create_task(it.sync.run_pass(words.append, force=True))
        await asyncio.sleep(0)
        assert it.at_once("GET", LIST)
        it.network.gate.set()
        assert await first == await second
        assert len(it.orders) == 1
        assert len(words) > 10  # who joins hears what comes from then on
        await it.sync.run_pass()
        assert len(it.orders) == 2

    told(tmp_path, story)


def test_who_stops_listening_to_a_pass_does_not_stop_it(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        it.network.gate.clear()
        impatient = asyncio.create_task(it.sync.run_pass())
        await until(lambda: it.network.waiting)
        patient = asyncio.create_task(it.sync.run_pass())
        await asyncio.sleep(0)
        impatient.cancel()
        it.network.gate.set()
        assert (await patient).problems == ()
        assert len(it.orders) == 1

    told(tmp_path, story)
