"""What the daemon makes of a worker: its words when it has said its end, and what is left of one that did not."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hublet.core import operations as ops
from hublet.core.outcomes import Answered, PassReport, Unreachable
from hublet.core.questions import Policy
from hublet.core.records import Content, Fact, Template
from hublet.core.secretstr import SecretStr
from hublet.upstream import child
from hublet.upstream.order import END, Hub, Told, Word, WorkOrder, word_to_frames

ORDER = WorkOrder(Hub("http://127.0.0.1:1", SecretStr("con_of_nobody")))
WORD = Told(ops.GetPolicy(), Answered((Fact(Policy(), Content(Template(b'{"policy":null}'))),)))
SAID = b"".join(word_to_frames(WORD))


def worker(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """From now on passes run in this program; `out` writes to standard output."""
    code = ["import os, sys, time", "sys.stdin.buffer.read()", "out = lambda data: os.write(1, data)", *lines]
    monkeypatch.setattr(child, "WORKER", (sys.executable, "-I", "-c", "\n".join(code)))


async def passed(say: Callable[[Word], None] = lambda _: None, *, limit: float = 60.0) -> PassReport:
    return await child.run_in_child(ORDER, say, limit=limit)


def carried_out(then: Callable[[PassReport], Awaitable[None]] | None = None, *, limit: float = 60.0) -> PassReport:
    async def run() -> PassReport:
        report = await passed(limit=limit)
        if then is not None:
            await then(report)
        return report

    return asyncio.run(run())


def is_gone(pid: int) -> bool:
    """Whether a process has ended and is no zombie."""
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.ESRCH
    return False


async def left_alone() -> None:
    """Wait until every worker that was left has been reaped."""
    while child._Worker._left:
        await asyncio.gather(*child._Worker._left)


def test_a_worker_that_has_said_its_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is ended in the background, however long it would have lingered, and leaves no zombie."""
    note = tmp_path / "pid"
    worker(monkeypatch, f"open({str(note)!r}, 'w').write(str(os.getpid()))", f"out({SAID + END!r})", "time.sleep(600)")

    async def then(report: PassReport) -> None:
        assert child._Worker._left  # the report is here, and it is not yet gone
        await left_alone()
        assert is_gone(int(note.read_text()))

    report = carried_out(then)
    assert report.whole
    assert report.outcomes == ((WORD.operation, WORD.outcome),)


def test_one_that_lingers_is_ended_with_the_loop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also when there is no time to reap it in the background: the daemon stops right after a pass."""
    note = tmp_path / "pid"
    worker(monkeypatch, f"open({str(note)!r}, 'w').write(str(os.getpid()))", f"out({END!r})", "time.sleep(600)")
    assert carried_out().whole
    assert is_gone(int(note.read_text()))
    assert not child._Worker._left


@pytest.mark.parametrize(
    ("lines", "failure"),
    [
        ((f"out({SAID!r})",), "the worker ended early (exit 0)"),
        ((f"out({(SAID + END)[:-1]!r})", "sys.exit(3)"), "the worker ended early (exit 3)"),
        ((f"out({SAID!r})", "os.kill(os.getpid(), 9)"), "the worker ended early (exit -9)"),
        ((f"out({SAID!r})", "out(b'\\xff' * 9)"), "the worker could not be understood (ValueError)"),
    ],
)
def test_one_without_an_end_leaves_what_it_had_said(
    monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], failure: str
) -> None:
    """Nothing that it did not say is taken for gone: the pass was no whole one."""
    worker(monkeypatch, *lines)
    report = carried_out()
    assert (report.whole, report.broken) == (False, True)
    assert report.outcomes == ((WORD.operation, WORD.outcome), (ops.GetPolicy(), Unreachable(failure)))


def test_one_that_hangs_is_ended_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it has been reaped when the report is there."""
    worker(monkeypatch, "time.sleep(600)")
    report = carried_out(limit=0.2)
    assert report.outcomes == ((ops.GetPolicy(), Unreachable("the pass took too long")),)
    assert not child._Worker._left


def test_one_that_was_to_ask_a_few_questions_leaves_each_unanswered_one_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that each is known to have been asked just now, and what was not asked is left alone."""
    worker(monkeypatch, f"out({SAID!r})")
    order = WorkOrder(ORDER.hub, whole=False, ask=(ops.GetPolicy(), ops.GetCredits()))
    report = asyncio.run(child.run_in_child(order, lambda _: None))
    assert (report.whole, report.broken) == (False, False)
    assert report.outcomes == (
        (WORD.operation, WORD.outcome),
        (ops.GetCredits(), Unreachable("the worker ended early (exit 0)")),
    )


def test_a_pass_that_is_broken_off_takes_its_worker_along(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The daemon stops in the middle of one: the worker is gone before the daemon is."""
    note = tmp_path / "pid"
    worker(
        monkeypatch,
        f"open({str(note)!r}, 'w').write(str(os.getpid()))",
        f"out({SAID!r})",
        "time.sleep(600)",
    )

    async def run() -> None:
        began = asyncio.Event()
        task = asyncio.create_task(passed(lambda _: began.set()))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert is_gone(int(note.read_text()))

    asyncio.run(run())


def test_the_log_names_what_ended_it_and_quotes_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A traceback's last line can quote what was being read."""
    worker(monkeypatch, "print('x' * 100_000, file=sys.stderr)", "raise RuntimeError('con_of_nobody')")
    carried_out()
    assert "the worker ended early (exit 1): RuntimeError" in caplog.text
    assert "con_of_nobody" not in caplog.text


def test_a_worker_starts_while_its_order_is_being_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The pass takes no longer than the slower of the two."""
    note = tmp_path / "started"
    lines = (f"open({str(note)!r}, 'w')", "import sys, os", "sys.stdin.buffer.read()", f"os.write(1, {END!r})")
    monkeypatch.setattr(child, "WORKER", (sys.executable, "-I", "-c", "\n".join(lines)))

    async def order() -> WorkOrder:
        while not note.exists():
            await asyncio.sleep(0.001)
        return ORDER

    async def run() -> PassReport:
        async with asyncio.timeout(30):
            return await child.run_in_child(order(), lambda _: None)

    assert asyncio.run(run()).whole


def test_an_order_that_can_not_be_made_leaves_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    worker(monkeypatch, "time.sleep(600)")

    async def order() -> WorkOrder:
        raise RuntimeError("a mistake of ours")

    with pytest.raises(RuntimeError, match="a mistake of ours"):
        asyncio.run(child.run_in_child(order(), lambda _: None))
    assert not child._Worker._left


def test_an_order_that_takes_too_long_to_make_is_a_pass_that_broke_off(monkeypatch: pytest.MonkeyPatch) -> None:
    worker(monkeypatch, "time.sleep(600)")

    async def order() -> WorkOrder:
        await asyncio.sleep(600)
        return ORDER

    report = asyncio.run(child.run_in_child(order(), lambda _: None, limit=0.1))
    assert (report.whole, report.broken) == (False, True)
    assert report.outcomes == ((ops.GetPolicy(), Unreachable("the pass took too long")),)
    assert not child._Worker._left
