"""What is told of what happens, by the real service in one process: each kind, in order, and to whom."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.ledger import Ledger
from hublet.core.messages import Response
from hublet.core.questions import Roster
from hublet.core.records import Content, Record, Template
from hublet.core.state import Put, State
from hublet.core.telling import KINDS
from hublet.demo.data import ACME, USER_SECRETS
from hublet.demo.faults import ErrorPage, Status
from hublet.serve.admin import Admin
from hublet.serve.admission import NOBODY
from hublet.serve.events import MOST_LISTENERS, Event, Events
from hublet.serve.noticing import noticed
from hublet.serve.status import one_line, status
from hublet.serve.telling import Stream
from tests.in_process import READER, InProcess, in_process
from tests.serve.synced import EVERY, Story, told

SLOW = 8 * EVERY

EVENTS = "/hublet/v1/events"


def kinds(events: tuple[Event, ...]) -> list[str]:
    return [event.kind for event in events]


async def during(it: InProcess, *passes: float) -> tuple[Event, ...]:
    """What is told while so many passes run, each after so many seconds; without the passes themselves."""
    last = it.service.events.last
    for wait in passes:
        it.clock.advance(wait)
        it.service.look()
        await it.sync.run_pass(force=True)
    return tuple(event for event in it.service.events.since(last) if event.kind != "pass")


# The ring and its listeners


def test_everybody_reads_from_one_ring_and_the_slow_are_told_what_they_missed() -> None:
    """A listener is a place: however much happens while it does nothing, it costs no memory."""

    async def main() -> None:
        events = Events(lambda: 5.0, most=4)
        quick, slow = events.subscribe(), events.subscribe()
        for number in range(3):
            events.tell("revision", what=str(number))
        assert [event.what for event in await quick.next() or ()] == ["0", "1", "2"]
        for number in range(3, 7):
            events.tell("revision", what=str(number))
        assert [event.what for event in await quick.next() or ()] == ["3", "4", "5", "6"]
        late = await slow.next() or ()
        assert kinds(late) == ["missed", *["revision"] * 4]
        assert [event.what for event in late[1:]] == ["3", "4", "5", "6"]
        assert [event.id for event in late] == sorted({event.id for event in late})
        assert events.since(late[-1].id) == ()

    asyncio.run(main())


@given(most=st.integers(1, 8), told=st.integers(0, 30), behind=st.integers(-3, 40))
def test_from_any_place_all_is_told_once_or_what_is_missing_is_said(most: int, told: int, behind: int) -> None:
    """Whatever id comes back: no event twice, none left out without a word."""
    events = Events(lambda: 1.0, most=most)
    first = events.last
    every = [events.tell("config", what=str(number)) for number in range(told)]
    place = first + told - behind
    found = events.since(place)
    wanted = [event for event in every if event.id > place]
    missed = behind < 0 or behind > told or len(wanted) > most
    assert [event for event in found if event.kind != "missed"] == (every[-most:] if missed else wanted)
    assert ("missed" in kinds(found)) is missed
    assert [event.id for event in found] == sorted({event.id for event in found})


def test_ids_grow_over_restarts_and_an_old_one_is_known_for_old() -> None:
    before = Events(lambda: 1000.0)
    last = before.tell("locked").id
    after = Events(lambda: 1000.5)
    assert after.last > last
    after.tell("unlocked")
    missed, unlocked = after.since(last)
    assert (missed.kind, missed.detail, unlocked.kind) == ("missed", "hublet was started anew since", "unlocked")


def test_one_at_the_end_hears_nothing_but_signs_of_life_and_the_end() -> None:
    async def main() -> None:
        events = Events(lambda: 1.0)
        listening = events.subscribe()
        waiting = asyncio.create_task(listening.next())
        await asyncio.sleep(0)
        assert not waiting.done()
        events.beat()
        assert await waiting == ()
        events.close()
        assert await listening.next() is None
        assert len(events) == 0
        assert await events.subscribe().next() is None  # stopping: nobody is let wait any more

    asyncio.run(main())


def test_the_log_says_what_happened_without_names_and_once_for_many(caplog: pytest.LogCaptureFixture) -> None:
    """What came from the Hub is sealed, and a log is not."""
    events = Events(lambda: 5.0)
    with caplog.at_level("INFO"):
        for name in ("acme/dev", "acme/ops"):
            events.tell("endpoints", what=name, scope="org_1", detail="command: sh")
        events.tell("pass", detail="1 of 1 answered")
    (record,) = caplog.records
    assert record.getMessage() == "an assistant runs or sends elsewhere than before: see `hublet status`"
    assert record.__dict__["event"] == "endpoints"


def test_the_hubs_words_are_one_line_of_a_bounded_length() -> None:
    event = Events(lambda: 1.0).tell("revision", what="a\x1b[2J\nb", detail="x" * 2000)
    assert event.what == "a\ufffd[2J\ufffdb"
    assert len(event.detail) == 500
    assert b"\n" not in event.to_json()


# What is told of what


def test_a_first_pass_is_told_by_the_list_and_later_ones_by_the_assistant(tmp_path: Path) -> None:
    """Each once, whatever variants are kept of it; a rotated value by its assistant, without name or value."""

    async def story() -> None:
        async with in_process(tmp_path, settings={"sync": {"proxied": "always"}}) as it:
            await it.log_in()
            first = it.service.events.since(it.service.events.last - 200)[1:]
            assert len(first) == len({(event.kind, event.what, event.scope, event.detail) for event in first})
            lists = [event for event in first if event.detail.startswith("added, ")]
            assert {event.scope for event in lists} >= {None, ACME}
            assert "dana/rust-smith" not in {event.what for event in first}
            assert {event.what for event in first} >= {"policy", "organizations", "assistants of the personal scope"}

            assert await during(it, EVERY) == ()
            it.hub.edit_assistant("dana/rust-smith", "Rust", "Ferrous")
            (event,) = await during(it, EVERY)
            assert (event.kind, event.what, event.scope) == ("revision", "dana/rust-smith", None)
            assert event.detail == "changed"
            it.hub.set_secret("LLM_KEY", "sk-another-value")
            rotated = await during(it, EVERY)
            assert {event.detail for event in rotated} == {"secret values changed"}
            assert b"LLM_KEY" not in b"".join(event.to_json() for event in rotated)
            assert b"sk-another-value" not in b"".join(event.to_json() for event in rotated)

    asyncio.run(story())


def test_a_list_whose_variants_differ_is_told_of_by_variant() -> None:
    """Once where both have changed alike."""
    lists = [Roster(None, False), Roster(None, True), Roster(ACME, True)]

    def listing(*owners: str) -> State:
        text = json.dumps([[owner, "dev"] for owner in owners]).encode()
        return State({question: Record(Content(Template(text)), question, 0.0) for question in lists}, Ledger())

    before, after = listing("a", "b"), listing("b", "a")
    changes = tuple(Put(question, known, "changed") for question, known in after.records.items())
    found = [notice.what for notice in noticed(before, after, changes)]
    assert found == ["assistants of the personal scope", f"assistants of {ACME} (proxied)"]


def test_what_the_hub_takes_back_is_told_when_it_is_withdrawn(tmp_path: Path) -> None:
    """Not when it is missing for the first time."""

    async def story(it: InProcess) -> None:
        it.hub.remove_assistant("dana/rust-smith")
        assert await during(it, EVERY) == ()
        (event,) = await during(it, EVERY)
        assert (event.kind, event.what) == ("withdrawn", "dana/rust-smith")

    told(tmp_path, story)


def test_offline_stale_and_online_again(tmp_path: Path) -> None:
    """Stale is told once, only when a pass is clearly late: between two passes of a slow pace nothing is."""

    async def story(it: InProcess) -> None:
        it.clock.advance(SLOW * 1.1)
        it.service.look()
        assert it.service.events.counts["stale"] == 0
        assert await during(it, 0) == ()
        it.network.up = False
        assert kinds(await during(it, EVERY)) == ["offline"]
        assert kinds(await during(it, 10)) == []
        late = await during(it, SLOW * 1.2)
        assert set(kinds(late)) == {"stale"}
        assert {event.what for event in late} >= {"policy", "organizations", "assistants of the personal scope"}
        assert await during(it, EVERY) == ()
        it.network.up = True
        assert kinds(await during(it, 1)) == ["online"]
        it.network.up = False
        assert kinds(await during(it, SLOW, SLOW)).count("stale") == len(late)  # late anew: told anew

    told(tmp_path, story)


def test_locked_and_unlocked_whoever_does_it(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        refuse = it.hub.inject(Status(401, "Unauthorized"))
        assert await during(it, 0) == ()
        (event,) = await during(it, 601)
        assert (event.kind, event.detail) == ("locked", "the Hub refuses the account's key")
        it.hub.heal(refuse)
        assert kinds(await during(it, 1)) == ["unlocked"]
        await it.sync.lock()
        await it.sync.unlock()
        assert kinds(it.service.events.since(it.service.events.last - 2)) == ["locked", "unlocked"]

    told(tmp_path, story)


def test_expired_secret_values_are_told_without_a_name(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        it.network.up = False
        it.clock.advance(8 * 86400)
        it.sync.republish_if_due()
        it.service.look()
        (event,) = (e for e in it.service.events.since(it.service.events.last - 100) if e.kind == "expired")
        assert event.what == ""
        assert not any(name in event.detail for name in USER_SECRETS)

    told(tmp_path, story)


def test_another_command_is_told_with_its_line(tmp_path: Path) -> None:
    """As status tells it; the first one of a list that is new is believed."""

    async def story(it: InProcess) -> None:
        it.hub.edit_assistant("acme/backend-reviewer", "command: uvx", "command: sh")
        found = await during(it, EVERY)
        assert set(kinds(found)) == {"revision", "endpoints"}
        event = next(event for event in found if event.kind == "endpoints")
        assert (event.what, event.scope) == ("acme/backend-reviewer", ACME)
        assert "command: uvx → sh" in event.detail
        assert "assistants that run or send elsewhere: 1" in one_line(it.service)
        told_of = status(it.service)["endpoints"]
        assert isinstance(told_of, list)
        assert [moved["what"] for moved in told_of] == ["acme/backend-reviewer"]

    told(tmp_path, story)


def test_held_and_accepted(tmp_path: Path) -> None:
    """With sync.hold_commands nothing of it is a revision before a person agrees."""

    async def story(it: InProcess) -> None:
        it.hub.edit_assistant("acme/backend-reviewer", "command: uvx", "command: sh")
        (event,) = await during(it, EVERY)
        assert (event.kind, event.what) == ("held", "acme/backend-reviewer")
        assert "something is in quarantine" in one_line(it.service)
        assert await during(it, EVERY) == ()
        last = it.service.events.last
        admin = Admin(it.service)
        body = json.dumps({"what": "acme/backend-reviewer"}).encode()
        await admin.handle("POST", ("quarantine", "accept"), body)
        admin.close()
        assert set(kinds(it.service.events.since(last))) == {"revision", "endpoints", "accepted"}

    told(tmp_path, story, settings={"sync": {"hold_commands": "true"}})


def test_each_pass_is_told_what_is_asked_in_between_is_not(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        before = it.service.events.counts["pass"]
        await it.ask("GET", "/registry/v1/acme/review-rules/latest")
        assert it.service.events.counts["pass"] == before
        with it.hub.failing(ErrorPage(502)):
            await it.sync.run_pass()
        assert it.service.events.counts["pass"] == before + 1
        event = next(e for e in reversed(it.service.events.since(it.service.events.last - 9)) if e.kind == "pass")
        assert event.detail.startswith("0 of ")

    told(tmp_path, story)


# As server-sent events


async def first(response: Response) -> tuple[Stream, str]:
    assert isinstance(response.body, Stream)
    return response.body, (await anext(response.body)).decode()


def test_a_stream_begins_with_the_id_to_go_on_from(tmp_path: Path) -> None:
    """And has each event with its id, kind and JSON; a reader that comes back hears what happened meanwhile."""

    async def story(it: InProcess) -> None:
        response = await it.ask("GET", EVENTS, identity=READER)
        assert (response.status, response.header("Content-Type")) == (200, "text/event-stream; charset=utf-8")
        stream, begin = await first(response)
        last = it.service.events.last
        assert begin == f"retry: 2000\nid: {last}\n\n"
        await it.sync.lock()
        fields = dict(line.split(": ", 1) for line in (await anext(stream)).decode().strip().splitlines())
        assert (fields["id"], fields["event"]) == (str(last + 1), "locked")
        assert json.loads(fields["data"])["kind"] == "locked"
        it.service.events.beat()
        assert await anext(stream) == b":\n\n"
        await stream.aclose()
        assert len(it.service.events) == 0
        await it.sync.unlock()
        again, _ = await first(await it.ask("GET", EVENTS, headers={"Last-Event-ID": fields["id"]}))
        assert b"event: unlocked\n" in await anext(again)
        it.service.events.close()
        assert await anext(again, None) is None

    told(tmp_path, story)


def without_a_login(path: Path, story: Story) -> None:
    """Nothing is cached; what is told of is the same."""

    async def telling() -> None:
        async with in_process(path) as it:
            await story(it)

    asyncio.run(telling())


def test_what_is_no_id_is_said_so(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        for sent in ("x", "-1", "1.5", "\u00b2", "9" * 21):
            assert (await it.ask("GET", EVENTS, headers={"Last-Event-ID": sent})).status == 400
        assert len(it.service.events) == 0

    without_a_login(tmp_path, story)


def test_so_many_listen_and_no_more_and_the_admin_door_has_places_of_its_own(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        streams = [await it.ask("GET", EVENTS) for _ in range(MOST_LISTENERS)]
        one_more = await it.ask("GET", EVENTS)
        assert (one_more.status, one_more.header("Retry-After")) == (503, "30")
        admin = Admin(it.service)
        lines = (await admin.handle("GET", ("events",), b"")).body
        assert isinstance(lines, Stream)
        assert json.loads(await anext(lines)) == {"last": it.service.events.last}
        await streams[0].body.aclose()  # type: ignore[union-attr]  # never begun: its place is free all the same
        assert (await it.ask("GET", EVENTS)).status == 200
        it.service.events.close()
        admin.close()

    without_a_login(tmp_path, story)


def test_only_get_is_answered(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        for path in (EVENTS, "/hublet/v1/status", "/metrics"):
            response = await it.ask("POST", path)
            assert (response.status, response.header("Allow")) == (405, "GET, HEAD")

    without_a_login(tmp_path, story)


def test_nobody_unknown_is_answered(tmp_path: Path) -> None:
    """Not even if the door let them in: only open paths are for those."""

    async def story(it: InProcess) -> None:
        for path in (EVENTS, "/hublet/v1/status", "/metrics"):
            assert (await it.ask("GET", path, identity=NOBODY)).status == 404

    without_a_login(tmp_path, story)


def test_every_kind_has_one_word() -> None:
    assert all(kind.isalpha() and kind.islower() for kind in KINDS)
