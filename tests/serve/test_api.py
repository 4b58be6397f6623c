"""What clients are answered, and when the Hub is asked for it: the real service in one process, with its own time."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from hublet.core.messages import Response
from hublet.core.questions import Roster
from hublet.demo.assistants import chat
from hublet.demo.data import USER_SECRETS
from hublet.demo.faults import ErrorPage, Hang, Html, Status
from hublet.demo.reply import Seen
from hublet.serve.admission import NOBODY
from tests.in_process import READER, InProcess, in_process, text, value

LIST = "/ide/list-assistants"
ONE = "/ide/get-assistant/dana/rust-smith"
CACHED = (
    LIST,
    ONE,
    "/ide/list-assistants?organizationId=org_acme",
    "/ide/list-organizations",
    "/ide/policy",
    "/ide/free-trial-status",
    "/ide/list-assistant-full-slugs",
)
EVERY = 900.0
LLM_KEY = USER_SECRETS["LLM_KEY"]

Story = Callable[[InProcess], Awaitable[None]]


def told(path: Path, story: Story, **how: object) -> None:
    """Tell a story of a hublet that is logged in and synced."""

    async def telling() -> None:
        async with in_process(path, **how) as it:  # type: ignore[arg-type]
            summary = await it.log_in()
            assert summary.problems == ()
            it.hub.forget_requests()
            it.orders.clear()
            await story(it)

    asyncio.run(telling())


def fqsn(slug: str, name: str) -> dict[str, object]:
    owner, _, package = slug.partition("/")
    return {"packageSlugs": [{"ownerSlug": owner, "packageSlug": package}], "secretName": name}


def asked(it: InProcess) -> list[str]:
    """What the Hub was asked since it was last forgotten."""
    return [seen.target for seen in it.hub.requests]


def cache_status(response: Response) -> str:
    return response.header("Cache-Status") or ""


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.001)


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


# Secrets


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


# One endpoint each


def test_full_slugs_are_answered_here(tmp_path: Path) -> None:
    """The Hub always answers 429 to that; ours follow the list, versions and all."""

    async def story(it: InProcess) -> None:
        listed = value(await it.ask("GET", LIST))
        slugs = value(await it.ask("GET", "/ide/list-assistant-full-slugs"))
        assert isinstance(listed, list)
        assert slugs == {
            "fullSlugs": [
                {
                    "ownerSlug": one["ownerSlug"],
                    "packageSlug": one["packageSlug"],
                    "versionSlug": (one["configResult"]["config"] or {}).get("version", "latest"),
                }
                for one in listed
            ]
        }
        acme = value(await it.ask("GET", "/ide/list-assistant-full-slugs?organizationId=org_acme"))
        assert acme["fullSlugs"][0]["ownerSlug"] == "acme"  # type: ignore[index,call-overload]
        assert it.hub.count("/ide/list-assistant-full-slugs") == 0

    told(tmp_path, story)


def test_a_checkout_is_never_cached_repeated_or_asked_ahead(tmp_path: Path) -> None:
    """Each call makes a session at the Hub; it needs the client's own credential, and is 503 offline."""

    async def story(it: InProcess) -> None:
        path = "/ide/get-models-add-on-checkout-url"
        assert it.hub.checkout_sessions == 0
        own = {"Authorization": "Bearer con_demo_key_not_secret"}
        urls = [value(await it.ask("GET", f"{path}?profile_id=local", headers=own)) for _ in range(2)]
        assert urls[0] != urls[1]
        assert it.hub.checkout_sessions == 2
        assert (await it.ask("GET", path)).status == 401
        assert it.hub.checkout_sessions == 2
        await it.sync.run_pass()
        assert it.hub.checkout_sessions == 2
        it.network.up = False
        offline = await it.ask("GET", path, headers=own)
        assert offline.status == 503
        assert value(offline) == {"message": "the Hub does not answer, and this can't be cached"}

    told(tmp_path, story)


@pytest.mark.parametrize(("proxied", "first"), [("auto", 0), ("always", 3), ("never", 0)])
def test_the_proxied_variant_is_kept_fresh_as_configured(tmp_path: Path, proxied: str, first: int) -> None:
    """auto: in a scope where a client has asked for it once. Its answers are its own, without any user secret."""
    target = f"{LIST}?alwaysUseProxy=true"

    async def story(it: InProcess) -> None:
        def lists() -> list[str]:
            return [each for each in asked(it) if each.startswith(LIST) and "alwaysUseProxy=true" in each]

        it.clock.advance(EVERY)
        await it.sync.run_pass()
        assert len(lists()) == first
        it.hub.forget_requests()
        answer = await it.ask("GET", target)
        assert answer.status == 200
        assert "canary-user-" not in text(answer)
        assert text(answer) != text(await it.ask("GET", LIST))
        assert ("hit" in cache_status(answer)) is (proxied == "always")
        it.hub.forget_requests()
        it.clock.advance(EVERY)
        await it.sync.run_pass()
        expected = {"auto": [target], "never": [], "always": sorted(lists())}[proxied]
        assert sorted(lists()) == expected
        assert (await it.ask("GET", target)).header("Age") == ("0" if proxied != "never" else str(int(EVERY)))

    told(tmp_path, story, settings={"sync": {"proxied": proxied}})


def test_head_is_answered_like_get(tmp_path: Path) -> None:
    """The door leaves the body out; everything that counts is the same."""

    async def story(it: InProcess) -> None:
        for path in (*CACHED, "/healthz", "/readyz"):
            head, get = await it.ask("HEAD", path), await it.ask("GET", path)
            assert replace(head, body=b"") == replace(get, body=b"")
        assert (await it.ask("HEAD", "/no/such/path")).status == 404

    told(tmp_path, story)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("POST", LIST, "GET, HEAD"), ("DELETE", ONE, "GET, HEAD"), ("GET", "/ide/sync-secrets", "POST"),
     ("PUT", "/ide/sync-secrets", "POST"), ("POST", "/healthz", "GET, HEAD"), ("OPTIONS", "/ide/policy", "GET, HEAD")],
)  # fmt: skip
def test_another_method_is_told_which_there_are(tmp_path: Path, method: str, path: str, allow: str) -> None:
    async def story(it: InProcess) -> None:
        answer = await it.ask(method, path, b"{}")
        assert (answer.status, answer.header("Allow")) == (405, allow)
        assert isinstance(value(answer), dict)
        assert it.hub.requests == []

    told(tmp_path, story)


@pytest.mark.parametrize(
    "path",
    ["/", "/ide", "/ide/", "/ide/list-assistants/", "/ide/get-assistant/dana", "/ide/get-assistant/a/b/c", "/status",
     "/favicon.ico", "/IDE/policy", "/ide/policy/x", "/tokens", "/icons/nothing"],
)  # fmt: skip
def test_an_unknown_path_is_404_with_a_message(tmp_path: Path, path: str) -> None:
    """The admin door's paths are unknown here, too."""

    async def story(it: InProcess) -> None:
        answer = await it.ask("GET", path)
        assert answer.status == 404
        assert value(answer) == {"message": "Not found"}
        assert it.hub.requests == []

    told(tmp_path, story)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"{LIST}?alwaysUseProxy=yes", b""),
        ("GET", f"{LIST}?alwaysUseProxy=", b""),
        ("GET", f"{LIST}?alwaysUseProxy=true&alwaysUseProxy=false", b""),
        ("GET", f"{LIST}?organizationId=%ff", b""),
        ("GET", "/ide/get-assistant/dana/..", b""),
        ("GET", "/ide/get-assistant/dana/%2e%2e", b""),
        ("GET", "/ide/get-assistant/dana/%00", b""),
        ("GET", "/ide/get-assistant/dana/%ff", b""),
        ("POST", "/ide/sync-secrets", b""),
        ("POST", "/ide/sync-secrets", b"not json"),
        ("POST", "/ide/sync-secrets", b"[]"),
        ("POST", "/ide/sync-secrets", b"{}"),
        ("POST", "/ide/sync-secrets", b'{"fqsns": {}}'),
        ("POST", "/ide/sync-secrets", b'{"fqsns": [], "orgScopeId": 7}'),
        ("POST", "/ide/sync-secrets", b'{"fqsns": []'),
        ("POST", "/ide/sync-secrets", b"\xff"),
    ],
)
def test_a_request_without_sense_is_400_with_a_message(tmp_path: Path, method: str, path: str, body: bytes) -> None:
    async def story(it: InProcess) -> None:
        answer = await it.ask(method, path, body)
        assert answer.status == 400, text(answer)
        said = value(answer)
        assert isinstance(said, dict)
        assert isinstance(said["message"], str)
        assert it.hub.requests == []

    told(tmp_path, story)


def test_readiness_tells_its_age_to_known_people_only(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        it.clock.advance(33)
        assert value(await it.ask("GET", "/readyz")) == {"status": "ready", "age": 33}
        assert value(await it.ask("GET", "/readyz", identity=NOBODY)) == {"status": "ready"}
        assert value(await it.ask("GET", "/healthz", identity=NOBODY)) == {"status": "alive"}

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
