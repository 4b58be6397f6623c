"""Running a pass as a child process: it can be killed when it hangs, and its memory ends with it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from hublet.core import operations as ops
from hublet.core.outcomes import Outcome, PassReport, Unreachable
from hublet.core.records import Fact
from hublet.upstream.order import OUT_OF_MEMORY, Ordered, Reader, Told, Word, WorkOrder, made, order_to_json

log = logging.getLogger("hublet.upstream")

_KEPT = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PLAIN = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "SYSTEMROOT")
_READ_SIZE = 64 * 1024
_ERRORS_KEPT = 8192
WORKER = (sys.executable, "-P", "-c", "import sys, hublet.worker; sys.exit(hublet.worker.main())")
"""Not `-m`: what finds a module's file to run it is loaded for that alone."""


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a worker inherits: the way to the network, and nothing that could hold a secret of ours."""
    names = {*_KEPT, *(name.lower() for name in _KEPT), *_PLAIN}
    return {name: value for name, value in environment.items() if name in names}


async def run_in_child(ordered: Ordered, say: Callable[[Word], None], *, limit: float = 600.0) -> PassReport:
    """Carry out a work order in a worker and gather its report; `say` hears every word as it comes. The worker starts
    while the order is being made: both take long when much is known.

    `limit` is the longest that a pass may take, in seconds. A worker that dies or hangs leaves what it had said, and an
    Unreachable in place of the rest: never an exception. One that has said its end is not waited for.
    """
    outcomes: list[tuple[ops.Operation, Outcome]] = []
    icons: list[Fact] = []
    reader = Reader()
    try:
        process = await asyncio.create_subprocess_exec(
            *WORKER,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=child_environment(os.environ), limit=_READ_SIZE,
        )  # fmt: skip
    except OSError as error:  # this machine has no file descriptor, process or memory left
        failure = f"no worker could be started: {error.strerror}"
        log.error("%s", failure)
        return _broken(await made(ordered), failure)
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    assert stdin is not None
    assert stdout is not None
    assert stderr is not None
    failure = ""
    ending = _Ending(process, asyncio.create_task(_last_of(stderr)))
    try:
        async with asyncio.timeout(limit):
            order = await made(ordered)
            stdin.write(order_to_json(order))
            stdin.close()
            while not reader.ended and (data := await stdout.read(_READ_SIZE)):
                for word in reader.feed(data):
                    say(word)
                    if isinstance(word, Told):
                        outcomes.append((word.operation, word.outcome))
                    else:
                        icons.append(word)
                await asyncio.sleep(0)  # what has come already is read without a pause: clients have their turn
            if not reader.ended:
                await process.wait()
    except TimeoutError:
        failure = "the pass took too long"
    except (ValueError, OSError) as error:
        failure = f"the worker could not be understood ({type(error).__name__})"
    except BaseException:
        await ending.come()
        raise
    if reader.ended and not failure:
        ending.leave()
        return PassReport(tuple(outcomes), tuple(icons), whole=order.whole)
    said = await ending.come()
    if process.returncode == OUT_OF_MEMORY and not failure:
        failure = "what the Hub answered takes more memory than a pass may have"
    failure = failure or f"the worker ended early (exit {process.returncode})"
    # Of a traceback only the last line's exception name: texts can quote what was being parsed.
    last = said.decode(errors="replace").strip().rpartition("\n")[2].partition(":")[0][:80]
    log.error("%s%s", failure, f": {last}" if last else "")
    return _broken(order, failure, outcomes, icons)


def _broken(
    order: WorkOrder,
    failure: str,
    outcomes: list[tuple[ops.Operation, Outcome]] | None = None,
    icons: Iterable[Fact] = (),
) -> PassReport:
    """The report of a worker that did not come to its end: what it had told, and the failure for what it had not."""
    told = outcomes or []
    answered = {operation for operation, _ in told}
    missing = (ops.GetPolicy(),) if order.whole else tuple(each for each in order.ask if each not in answered)
    failed = ((operation, Unreachable(failure)) for operation in missing)
    return PassReport((*told, *failed), tuple(icons), whole=False, broken=order.whole)


async def _last_of(stream: asyncio.StreamReader) -> bytes:
    """All of it is read, since who writes would wait otherwise; its last lines are what counts of a traceback."""
    last = b""
    while piece := await stream.read(_ERRORS_KEPT):
        last = (last + piece)[-_ERRORS_KEPT:]
    return last


class _Ending:
    """The end of a worker, whatever it still does: awaited when something is wrong with it, or left to come by itself.

    An interpreter that has read a large list takes 25 ms to come apart, for nobody: everything has been said.
    """

    _left: ClassVar[set[asyncio.Task[bytes]]] = set()
    """Held until they are done: the event loop itself doesn't."""

    def __init__(self, process: asyncio.subprocess.Process, errors: asyncio.Task[bytes]) -> None:
        self._process, self._errors = process, errors

    async def come(self) -> bytes:
        """End it and be rid of it; what it had written to standard error."""
        try:
            if self._process.returncode is None:
                self._process.kill()
                await self._gone()
            return await self._errors
        finally:
            # Its pipes, at once: not when the collector comes by.
            self._process._transport.close()  # type: ignore[attr-defined]

    async def _gone(self) -> None:
        try:
            await self._process.wait()
        except asyncio.CancelledError:
            await self._process.wait()  # the loop is to end: it takes no time, and leaves no zombie
            raise

    def leave(self) -> None:
        """Have it come while others go on."""
        task = asyncio.create_task(self.come(), name="reap")
        self._left.add(task)
        task.add_done_callback(self._left.discard)
