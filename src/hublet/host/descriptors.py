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
"""Descriptors for everything else: the store, pass-through's own connections, the pipes of a worker, the log."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE = 60.0


def connections_allowed(wanted: int) -> int:
    """How many connections may be open at once: `wanted`, or fewer where the process may not open so many.

    The soft limit is raised towards the hard one as far as that needs. It is low by custom only (1024 in most
    sessions, for programs that use select()), and we use none.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVE
    if _less(soft, needed):
        # macOS has a lower limit of its own that it does not tell: then what there is has to do.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed if _less(needed, hard) else hard, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - RESERVE))


class Exhausted:
    """An event loop's handler of exceptions that tells of a process without descriptors in one line a minute.

    asyncio tries again after a second, and would log a traceback for each of a hundred connections that it can't take.
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
