"""The hot path of the loopback API: when an answer is sent again, what ends that, and what it costs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.account import Account
from hublet.core.lifetimes import AHEAD
from hublet.core.messages import Head, Request, Response
from hublet.core.secretstr import SecretStr
from hublet.core.snapshot import Answer
from hublet.door import tokens
from hublet.door.application import Admitted, Connection, Counters, Limits
from hublet.door.http1 import Http1
from hublet.door.peer import Peers, Verdict
from hublet.serve.admission import Admission
from hublet.serve.api import Api
from hublet.serve.repeating import span
from tests.in_process import InProcess, in_process

HOST = ("host", "localhost:3001")
OWL = "/ide/get-assistant/dana/night-owl"
TIMES = st.integers(0, 4 * 10**10).map(lambda quarters: quarters / 4)
"""Exact in binary, so that nothing is lost between them."""


@dataclass
class Door:
    """A client of the loopback port, and what stands behind it; `it` has the clock and the Hub."""

    it: InProcess
    api: Api
    connection: Connection

    def ask(self, target: str = OWL, *headers: tuple[str, str]) -> Response:
        """One request, admitted and answered as the door does it."""
        head = Head("GET", target, (HOST, *headers))
        admitted = self.api.admit(head, self.connection)
        assert isinstance(admitted, Admitted), admitted
        response = self.api.respond(Request(head), admitted)
        assert isinstance(response, Response)
        return response

    def still(self, response: Response) -> bool:
        assert response.again is not None
        return response.again()


def door(it: InProcess) -> Door:
    kernel = cast("Peers", SimpleNamespace(same_user=lambda _: Verdict.SAME_USER, close=lambda: None))
    api = Api(it.service, Admission(it.service, peers=kernel, because=""), cast("Any", None))
    return Door(it, api, cast("Connection", SimpleNamespace(family=2, scratch=None, socket=None, hold_back=0.0)))


def run(tmp_path: Path, check: Callable[[Door], Any]) -> None:
    async def main() -> None:
        async with in_process(tmp_path) as it:
            await it.log_in()
            it.clock.advance(5.25)
            done = check(door(it))
            if asyncio.iscoroutine(done):
                await done

    asyncio.run(main())


def answer_at(confirmed: float, fresh_for: float) -> Answer:
    return Answer(200, b"", '"x"', confirmed, fresh_for)


@given(
    confirmed=TIMES,
    fresh_for=st.integers(1, 10**8).map(lambda quarters: quarters / 4),
    near=st.integers(-40, 40),
    part=st.integers(0, 3),
)
def test_within_its_span_an_answer_has_the_same_age_and_grade(
    confirmed: float, fresh_for: float, near: int, part: int
) -> None:
    """Whatever the clock says, set back or not; and `now` itself is in it."""
    answer = answer_at(confirmed, fresh_for)
    for about in (confirmed - AHEAD, confirmed, confirmed + fresh_for):
        now = about + near / 4
        since, until = span(answer, now)
        assert since <= now < until <= max(now, confirmed) + 1
        other = max(since, now - 1) + part / 4
        if other < until:
            assert max(0, int(other - confirmed)) == max(0, int(now - confirmed))
            assert answer.grade(other) == answer.grade(now)


def test_an_answer_is_sent_again_within_its_second_and_no_longer(tmp_path: Path) -> None:
    """Age has whole seconds: with the next one it is another answer."""

    def check(client: Door) -> None:
        first = client.ask()
        assert first.header("age") == "5"
        client.it.clock.advance(0.5)
        assert client.still(first)
        client.it.clock.advance(0.25)
        assert not client.still(first)
        assert client.ask().header("age") == "6"
        client.it.clock.advance(-3)
        assert not client.still(client.ask()) or client.ask().header("age") == "3"

    run(tmp_path, check)


def test_what_is_sent_again_is_counted_and_audited_like_any_other(tmp_path: Path) -> None:
    """One line says how many there were and from when until when."""

    async def check(client: Door) -> None:
        service = client.it.service
        assert service.audit is not None
        before = service.tally.graded("fresh")
        response = client.ask()
        for _ in range(9):
            client.it.clock.advance(0.01)
            assert client.still(response)
        assert service.tally.graded("fresh") == before + 10
        await service.audit.flush()
        lines = [line for line in service.audit.file.read() if line["what"] == "get-assistant"]
        assert [line["count"] for line in lines] == [10]
        assert lines[0]["last"] > lines[0]["time"]
        assert client.still(response)
        await service.audit.flush()
        assert [line.get("count", 1) for line in service.audit.file.read() if line["what"] == "get-assistant"] == [
            10,
            1,
        ]

    run(tmp_path, check)


TOKEN_TEXT, TOKEN = tokens.make("mine", "secrets", b"m" * 32, datetime.fromtimestamp(0, UTC))


async def locked(client: Door) -> None:
    await client.it.sync.lock()


def without_tokens(client: Door) -> None:
    client.it.service.tokens = ()


def another_account(client: Door) -> None:
    client.it.service.account = Account(SecretStr("con_" + "z" * 40), "https://hub.example")


def another_config(client: Door) -> None:
    config = client.it.service.config
    client.it.service.config = replace(config, serve=replace(config.serve, access="token"))


async def another_pass(client: Door) -> None:
    client.it.hub.edit_assistant("dana/night-owl", "Answer", "Reply")
    await client.it.sync.run_pass(force=True)


def own_value(client: Door) -> None:
    client.it.sync.override({"ANTHROPIC_API_KEY": SecretStr("own")})


def forgotten(client: Door) -> None:
    client.it.service.sync = None


@pytest.mark.parametrize(
    "change", [locked, without_tokens, another_account, another_config, another_pass, own_value, forgotten]
)
def test_no_answer_outlives_what_it_was_decided_from(tmp_path: Path, change: Callable[[Door], Any]) -> None:
    """A token that is revoked, a lock, a login, a config, a pass, a value of one's own: the next request sees it."""

    async def check(client: Door) -> None:
        client.it.service.tokens = (TOKEN,)
        response = client.ask(OWL, ("authorization", f"Bearer {TOKEN_TEXT}"))
        assert client.still(response)
        sync = client.it.service.sync
        done = change(client)
        if asyncio.iscoroutine(done):
            await done
        assert not client.still(response)
        client.it.service.sync = sync

    run(tmp_path, check)


def test_a_token_that_expires_within_the_second_is_not_honoured_to_its_end(tmp_path: Path) -> None:
    def check(client: Door) -> None:
        end = datetime.fromtimestamp(client.it.clock(), UTC) + timedelta(seconds=0.25)
        client.it.service.tokens = (replace(TOKEN, expires_at=end),)
        response = client.ask(OWL, ("authorization", f"Bearer {TOKEN_TEXT}"))
        client.it.clock.advance(0.2)
        assert client.still(response)
        client.it.clock.advance(0.1)
        assert not client.still(response)

    run(tmp_path, check)


def test_what_was_admitted_before_a_change_is_not_repeated_after_it(tmp_path: Path) -> None:
    """A request can wait between its admission and its answer: the answer must not vouch for the admission then."""

    async def check(client: Door) -> None:
        head = Head("GET", OWL, (HOST,))
        admitted = client.api.admit(head, client.connection)
        assert isinstance(admitted, Admitted)
        await client.it.sync.lock()
        response = client.api.respond(Request(head), admitted)
        assert isinstance(response, Response)
        assert response.again is None

    run(tmp_path, check)


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def get_extra_info(self, name: str) -> Any:
        return SimpleNamespace(family=2) if name == "socket" else None

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False

    def resume_reading(self) -> None: ...

    def pause_reading(self) -> None: ...


class Keeper:
    """Keeps no time."""

    def __init__(self) -> None:
        self.counters = Counters()

    def opened(self, connection: Any) -> None: ...

    def closed(self, connection: Any) -> None: ...

    def watch(self, deadline: float) -> None: ...


ALLOWED = {
    # of the interpreter and the standard library
    "time", "monotonic", "len", "append", "setprofile",
    # ours: the protocol, whether the answer still holds, the audit's counter, the pretend clock and wire
    "data_received", "_free", "still", "__call__", "once_more", "date_line", "_write", "write", "_repeats",
    # the end of the look itself
    "__exit__", "next", "called",
}  # fmt: skip


@contextmanager
def called() -> Iterator[list[str]]:
    """The name of every function that is called meanwhile, Python's and C's, and of every event of the audit hooks."""
    names: list[str] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            names.append(frame.f_code.co_name)
        elif event == "c_call":
            names.append(argument.__name__)

    sys.setprofile(note)
    try:
        yield names
    finally:
        sys.setprofile(None)


def test_a_hit_makes_no_task_touches_no_disk_and_takes_no_lock(tmp_path: Path) -> None:
    """Every function that a repeated request calls is one of a few, and none of them is any of that."""

    async def check(client: Door) -> None:
        wire, keeper = Wire(), Keeper()
        protocol = Http1(client.api, keeper, Limits())
        protocol.connection_made(cast("Any", wire))
        request = f"GET {OWL} HTTP/1.1\r\nHost: localhost:3001\r\n\r\n".encode()
        protocol.data_received(request)
        protocol.data_received(request)
        tasks = len(asyncio.all_tasks())
        with called() as names:
            protocol.data_received(request)
        assert set(names) <= ALLOWED, set(names) - ALLOWED
        assert len(names) <= 20, names
        assert len(asyncio.all_tasks()) == tasks
        assert len(wire.written) == 3
        assert wire.written[2] == wire.written[1]
        assert wire.written[2].startswith(b"HTTP/1.1 200 OK\r\n")
        protocol.connection_lost(None)

    run(tmp_path, check)


def test_the_look_at_calls_sees_tasks_files_and_locks() -> None:
    """What the test above rules out would be seen."""
    import threading

    with called() as names:
        lock = threading.Lock()
        lock.acquire()
        lock.release()
        Path(__file__).stat()
    assert {"acquire", "stat"} <= set(names)
