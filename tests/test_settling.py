"""Settling: decided, kept and published beside the event loop, one at a time, and always to its end."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from hublet.core import operations as ops
from hublet.core.outcomes import Answered, NotModified, PassReport
from hublet.core.questions import Assistant, Slug
from hublet.core.records import Fact, Record
from hublet.core.secretstr import SecretStr
from hublet.core.state import State, Verdict
from hublet.passes.settling import let_go
from tests.in_process import InProcess, in_process, text


class Gate:
    """Holds a settling in its thread until it is opened."""

    def __init__(self, it: InProcess) -> None:
        self.it = it
        self.reached, self.opened = asyncio.Event(), threading.Event()
        self.loop = asyncio.get_running_loop()

    def decide(self, state: State) -> Verdict:
        self.loop.call_soon_threadsafe(self.reached.set)
        assert self.opened.wait(10)
        return Verdict((), replace(state.ledger, failures=7))


def test_clients_are_answered_while_a_change_is_settled(tmp_path: Path) -> None:
    """From the Snapshot before; the next one is there when it is done."""

    async def main() -> None:
        async with in_process(tmp_path) as it:
            await it.log_in()
            gate, before = Gate(it), it.sync.snapshot
            settling = asyncio.create_task(it.sync._settle(gate.decide))
            await gate.reached.wait()
            assert (await it.ask("GET", "/ide/policy")).status == 200
            assert it.sync.snapshot is before
            gate.opened.set()
            await settling
            assert it.sync.snapshot is not before
            assert it.sync.state.ledger.failures == 7

    asyncio.run(main())


def test_a_settling_goes_to_its_end_whoever_stops_waiting(tmp_path: Path) -> None:
    """So that memory and disk do not differ; closing waits for it."""

    async def main() -> None:
        async with in_process(tmp_path) as it:
            await it.log_in()
            assert it.service.archive is not None
            gate, generation = Gate(it), it.service.archive.generation
            settling = asyncio.create_task(it.sync._settle(gate.decide))
            await gate.reached.wait()
            settling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await settling
            gate.opened.set()
            await it.sync.close()
            assert it.service.archive.generation == generation + 1
            assert it.sync.state.ledger.failures == 7

    asyncio.run(main())


def test_settlings_come_one_after_the_other(tmp_path: Path) -> None:
    """Each decides on what the one before has kept."""

    async def main() -> None:
        async with in_process(tmp_path) as it:

            def one_more(state: State) -> Verdict:
                return Verdict((), replace(state.ledger, failures=state.ledger.failures + 1))

            await asyncio.gather(*(it.sync._settle(one_more) for _ in range(20)))
            assert it.sync.state.ledger.failures == 20

    asyncio.run(main())


def test_what_is_configured_meanwhile_is_not_lost(tmp_path: Path) -> None:
    """The Snapshot that is being made has neither the new terms nor the user's own new values, so it is made once
    more."""

    async def main() -> None:
        async with in_process(tmp_path) as it:
            await it.log_in()
            gate = Gate(it)
            settling = asyncio.create_task(it.sync._settle(gate.decide))
            await gate.reached.wait()
            it.sync.override({"ANTHROPIC_API_KEY": SecretStr("my-own-value")})
            it.sync.configure(it.sync.plan, replace(it.sync.terms, interval=1234.0))
            gate.opened.set()
            await settling
            assert it.sync.snapshot.terms.interval == 1234.0
            assert "my-own-value" in text(await it.ask("GET", "/ide/list-assistants"))

    asyncio.run(main())


def test_what_a_change_means_is_worked_out_in_the_thread_and_told_on_the_loop(tmp_path: Path) -> None:
    """So that ten thousand changes hold up nobody."""
    where: list[tuple[str, int]] = []

    def understand(before: State, after: object, changes: object) -> object:
        where.append(("understood", threading.get_ident()))
        return lambda: where.append(("told", threading.get_ident()))

    async def main() -> None:
        async with in_process(tmp_path) as it:
            it.sync.on_settled.append(understand)  # type: ignore[arg-type]
            await it.sync.lock()

    asyncio.run(main())
    (first, there), (second, here) = where
    assert (first, second) == ("understood", "told")
    assert here == threading.get_ident() != there


def test_a_refused_decision_changes_nothing(tmp_path: Path) -> None:
    """The error is the caller's, and the next settling works."""

    async def main() -> None:
        async with in_process(tmp_path) as it:
            await it.log_in()
            before = it.sync.snapshot
            with pytest.raises(KeyError):
                await it.sync.accept(Assistant(None, False, Slug("nobody", "holds-this")))
            assert it.sync.snapshot is before
            await it.sync.lock()
            assert it.sync.snapshot.locked

    asyncio.run(main())


def test_letting_a_report_go_takes_nothing_of_what_is_kept(tmp_path: Path) -> None:
    """Facts that became records are shared with it."""

    async def main() -> None:
        async with in_process(tmp_path) as it:
            await it.log_in()
            facts = tuple(Fact(q, k.content) for q, k in it.sync.state.records.items() if isinstance(k, Record))
            before = await it.ask("GET", "/ide/list-assistants")
            reports = [PassReport(((ops.GetPolicy(), Answered(facts)), (ops.GetPolicy(), NotModified())), whole=True)]
            let_go(reports)
            assert reports == []
            assert (await it.ask("GET", "/ide/list-assistants")).body == before.body

    asyncio.run(main())
