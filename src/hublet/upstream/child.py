"""Running a pass as a child process: it can be killed when it hangs, and its memory ends with it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import ClassVar, Self

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
"""The command of a worker. Not `-m`: that would load the modules which find a module's file, for this alone."""


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a worker inherits: the variables for reaching the network, and none that could hold a secret of ours."""
    names = {*_KEPT, *(name.lower() for name in _KEPT), *_PLAIN}
    return {name: value for name, value in environment.items() if name in names}


async def run_in_child(ordered: Ordered, say: Callable[[Word], None], *, limit: float = 600.0) -> PassReport:
    """Carry out a work order in a worker and gather its report; `say` is called with every word as it comes. The worker
    starts while the order is being made: both take long when much is known.

    `limit` is the longest that a pass may take, in seconds. A worker that can't be started, dies or hangs raises
    nothing: the report has what it had said until then, Unreachable for the rest, and is not `whole`. A worker that has
    said its end is not waited for.
    """
    heard, order, failure = _Heard(say), None, ""
    try:
        worker = await _Worker.start()
    except OSError as error:  # this machine has no file descriptor, process or memory left
        failure = f"no worker could be started: {error.strerror}"
        log.error("%s", failure)
        return _broken(await made(ordered), heard, failure)
    try:
        async with asyncio.timeout(limit):
            order = await made(ordered)
            await worker.carry_out(order, heard)
    except TimeoutError:
        failure = "the pass took too long"
    except (ValueError, OSError) as error:
        failure = f"the worker could not be understood ({type(error).__name__})"
    except BaseException:
        await worker.end()
        raise
    if order is not None and heard.ended and not failure:
        worker.leave()
        return PassReport(tuple(heard.outcomes), tuple(heard.icons), whole=order.whole)
    errors = await worker.end()
    if worker.exit_code == OUT_OF_MEMORY and not failure:
        failure = "what the Hub answered takes more memory than a pass may have"
    failure = failure or f"the worker ended early (exit {worker.exit_code})"
    # Of a traceback only the last line's exception name is logged: its text can quote what was being parsed.
    last = errors.decode(errors="replace").strip().rpartition("\n")[2].partition(":")[0][:80]
    log.error("%s%s", failure, f": {last}" if last else "")
    return _broken(order, heard, failure)


def _broken(order: WorkOrder | None, heard: _Heard, failure: str) -> PassReport:
    """The report of a worker that has not come to its end: what it had said, and Unreachable for the rest. Of a few
    Operations that is each without an answer; for a whole pass, which is `broken`, the policy stands for all that it
    did not come to. Only the order of a whole pass can take so long to make that there is none (None)."""
    whole = order is None or order.whole
    missing: tuple[ops.Operation, ...] = (ops.GetPolicy(),)
    if order is not None and not order.whole:
        answered = {operation for operation, _ in heard.outcomes}
        missing = tuple(operation for operation in order.ask if operation not in answered)
    failed = ((operation, Unreachable(failure)) for operation in missing)
    return PassReport((*heard.outcomes, *failed), tuple(heard.icons), whole=False, broken=whole)


class _Heard:
    """The words of one worker, gathered as they come; `ended` once it has said its end."""

    def __init__(self, say: Callable[[Word], None]) -> None:
        self.outcomes: list[tuple[ops.Operation, Outcome]] = []
        self.icons: list[Fact] = []
        self._say, self._reader = say, Reader()

    @property
    def ended(self) -> bool:
        return self._reader.ended

    def feed(self, data: bytes) -> None:
        """Take in bytes of the worker's standard output. Raises ValueError for what no worker of ours writes."""
        for word in self._reader.feed(data):
            self._say(word)
            if isinstance(word, Told):
                self.outcomes.append((word.operation, word.outcome))
            else:
                self.icons.append(word)


class _Worker:
    """A worker's process. Transitions: start → carry_out → (end | leave).

    An interpreter that has read a large list takes 25 ms to tear itself down. When it has said everything, nobody has
    to wait for that: `leave` lets it happen in the background.
    """

    _left: ClassVar[set[asyncio.Task[bytes]]] = set()
    """The tasks of `leave`, held until they are done: the event loop itself holds tasks weakly."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process, self._stdin, self._stdout = process, process.stdin, process.stdout
        self._errors = asyncio.create_task(_last_of(process.stderr))

    @classmethod
    async def start(cls) -> Self:
        """Start the process, which waits for its order. Raises OSError when this machine can't start one."""
        process = await asyncio.create_subprocess_exec(
            *WORKER,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=child_environment(os.environ), limit=_READ_SIZE,
        )  # fmt: skip
        return cls(process)

    @property
    def exit_code(self) -> int | None:
        """What the process ended with, a negative signal number if one ended it; None while it runs."""
        return self._process.returncode

    async def carry_out(self, order: WorkOrder, heard: _Heard) -> None:
        """Send the order and gather the words, until the worker has said its end or is gone without.

        Raises ValueError for bytes that are no words, OSError when a pipe breaks.
        """
        self._stdin.write(order_to_json(order))
        self._stdin.close()
        while not heard.ended and (data := await self._stdout.read(_READ_SIZE)):
            heard.feed(data)
            await asyncio.sleep(0)  # reading what is already there never pauses: give clients their turn
        if not heard.ended:
            await self._process.wait()

    async def end(self) -> bytes:
        """Kill the process if it still runs, and wait until it is gone. Returns what it wrote to standard error."""
        try:
            if self._process.returncode is None:
                self._process.kill()
                await self._gone()
            return await self._errors
        finally:
            # Close its pipes now, not when the garbage collector comes by.
            self._process._transport.close()  # type: ignore[attr-defined]

    def leave(self) -> None:
        """Have the process end in the background."""
        task = asyncio.create_task(self.end(), name="reap")
        self._left.add(task)
        task.add_done_callback(self._left.discard)

    async def _gone(self) -> None:
        try:
            await self._process.wait()
        except asyncio.CancelledError:
            await self._process.wait()  # the loop is to end: a killed process takes no time, and must not stay a zombie
            raise


async def _last_of(stream: asyncio.StreamReader) -> bytes:
    """The last bytes of a stream. All of it is read, or a worker that writes much would wait for ever; what counts of a
    traceback is its last line."""
    last = b""
    while piece := await stream.read(_ERRORS_KEPT):
        last = (last + piece)[-_ERRORS_KEPT:]
    return last
