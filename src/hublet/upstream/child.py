"""Running a pass as a child process: it can be killed when it hangs, and its memory ends with it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping

from hublet.core import operations as ops
from hublet.core.outcomes import Outcome, PassReport, Unreachable
from hublet.core.records import Fact
from hublet.upstream.order import Reader, Told, Word, WorkOrder, order_to_json

log = logging.getLogger("hublet.upstream")

_KEPT = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PLAIN = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "SYSTEMROOT")
_READ_SIZE = 64 * 1024


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a worker inherits: the way to the network, and nothing that could hold a secret of ours."""
    names = {*_KEPT, *(name.lower() for name in _KEPT), *_PLAIN}
    return {name: value for name, value in environment.items() if name in names}


async def run_in_child(order: WorkOrder, say: Callable[[Word], None], *, limit: float = 600.0) -> PassReport:
    """Carry out a work order in a worker and gather its report; `say` hears every word as it comes.

    `limit` is the longest that a pass may take, in seconds. A worker that dies or hangs leaves what it had said, and an
    Unreachable in place of the rest: never an exception.
    """
    outcomes: list[tuple[ops.Operation, Outcome]] = []
    icons: list[Fact] = []
    reader = Reader()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "hublet.worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=child_environment(os.environ), limit=_READ_SIZE,
        )  # fmt: skip
    except OSError as error:  # this machine has no file descriptor, process or memory left
        failure = f"no worker could be started: {error.strerror}"
        log.error("%s", failure)
        asked = [(operation, Unreachable(failure)) for operation in order.ask] or [
            (ops.GetPolicy(), Unreachable(failure))
        ]
        return PassReport(tuple(asked), whole=False)
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    assert stdin is not None
    assert stdout is not None
    assert stderr is not None
    failure = ""
    errors = asyncio.create_task(stderr.read(8192))
    try:
        async with asyncio.timeout(limit):
            stdin.write(order_to_json(order))
            stdin.close()
            while data := await stdout.read(_READ_SIZE):
                for word in reader.feed(data):
                    say(word)
                    if isinstance(word, Told):
                        outcomes.append((word.operation, word.outcome))
                    else:
                        icons.append(word)
                await asyncio.sleep(0)  # what has come already is read without a pause: clients have their turn
            await process.wait()
    except TimeoutError:
        failure = "the pass took too long"
    except (ValueError, OSError) as error:
        failure = f"the worker could not be understood ({type(error).__name__})"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        said = await errors
        process._transport.close()  # type: ignore[attr-defined]  # its pipes, at once: not when the collector comes by
    if not failure and not reader.ended:
        failure = f"the worker ended early (exit {process.returncode})"
    if failure:
        # Of a traceback only the last line's exception name: texts can quote what was being parsed.
        last = said.decode(errors="replace").strip().rpartition("\n")[2].partition(":")[0][:80]
        log.error("%s%s", failure, f": {last}" if last else "")
        outcomes.append((ops.GetPolicy(), Unreachable(failure)))
    return PassReport(tuple(outcomes), tuple(icons), whole=order.whole and not failure)
