"""How many files and sockets this process may have open, and how many connections that is enough for."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

log = logging.getLogger("hublet")

RESERVE = 256
"""How many descriptors are kept for everything but connections: store, pass-through, the pipes of a worker, the log."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE = 60.0


def connections_allowed(wanted: int) -> int:
    """How many connections may be open at once: `wanted`, or fewer when the process may not open so many descriptors.

    The soft limit is raised as far as needed and as the hard limit allows. It is low (1024 in most sessions) only for
    programs that use select(), which we don't.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVE
    if _less(soft, needed):
        # macOS refuses more than a limit of its own, which it does not tell; then the present limit has to do.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed if _less(needed, hard) else hard, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - RESERVE))


class Exhausted:
    """An exception handler for an event loop. When the process runs out of descriptors it logs one line a minute.

    asyncio itself tries to accept again after a second, and logs a traceback for each connection that it can't take.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic, self._told = monotonic, float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _EXHAUSTED or "socket" not in context:
            loop.default_exception_handler(context)
        elif self._monotonic() - self._told >= _PAUSE:
            self._told = self._monotonic()
            log.error("no new connection can be taken for a while: %s", error.strerror)


def _less(one: int, other: int) -> bool:
    return one != resource.RLIM_INFINITY and (other == resource.RLIM_INFINITY or one < other)
