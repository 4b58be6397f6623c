"""Staying small: no library that another one brings along and can do without, no memory kept that nobody uses.

asyncio brings in `ssl`, hashlib `_hashlib`, and each of them the system's OpenSSL, beside the one that `cryptography`
has of its own: 5 MB of memory and 10 ms of every start. Both are written for Pythons that were built without OpenSSL;
then hashlib computes the same digests by Python's own code. The daemon itself never speaks TLS: a pass is a child
process, and httpx, which is loaded when something is passed through, imports `ssl` for itself and needs none of
asyncio's. (uvloop insists on it: with `hublet[fast]` nothing is spared.)
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import NoReturn

_M_ARENA_MAX = -8
"""Of glibc's mallopt(3)."""


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Meanwhile these modules can't be imported, as if they were not installed; afterwards they can. One that has been
    imported before stays as it is."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # the import system's own word for "not to be found"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def spare_arenas() -> None:
    """Have all threads allocate from one heap: they wait for each other anyway, and each heap keeps what it once had.
    Where the C library is not glibc nothing is done."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return free memory to the system (malloc_trim(3)). Blocks, without holding the interpreter."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def collector_resting() -> Iterator[None]:
    """Meanwhile nobody looks for garbage in cycles: among ten thousand records, of which none is any, a look holds the
    interpreter for 0.1 s. What is no longer referred to is freed all the same."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def spare_openssl() -> None:
    """Load what is written to work without OpenSSL without it. Called before anything else imports those."""
    with without("ssl", "_ssl", "_hashlib"):
        import asyncio  # noqa: F401
        import hashlib  # noqa: F401
        import hmac  # noqa: F401


Names = Mapping[str, object]


@contextmanager
def standing_in(modules: Mapping[str, Names]) -> Iterator[None]:
    """Meanwhile importing one of these modules gives one that has just these names; afterwards it is the real one. One
    that has been imported before stays as it is. Nobody else may import anything meanwhile: not for use with threads
    that do."""
    hollow = {name: names for name, names in modules.items() if name not in sys.modules}
    for name, names in hollow.items():
        module = sys.modules[name] = ModuleType(name)
        vars(module).update(names)
    try:
        yield
    finally:
        for name in hollow:
            del sys.modules[name]


_CLASSES_OF_SSL = (
    *("SSLContext", "MemoryBIO", "create_default_context", "CertificateError"),
    *("SSLError", "SSLWantReadError", "SSLSyscallError", "SSLZeroReturnError"),
)
_OF_SSL: Names = {
    **{name: type(name, (Exception,), {}) for name in _CLASSES_OF_SSL},
    "SSL_ERROR_WANT_READ": 2,
    "SSL_ERROR_WANT_WRITE": 3,
    "SSL_ERROR_SYSCALL": 5,
}


def load_uvloop() -> None:
    """uvloop without `ssl`, of which it keeps these names for a loop that is asked for TLS. Raises ImportError where it
    is not installed."""
    try:
        with standing_in({"ssl": _OF_SSL}):
            import uvloop
    except AttributeError:  # one that wants more of it shall have it
        import uvloop  # noqa: F401


def load_scheduler() -> None:
    """APScheduler without what it does not use here: names of plug-ins (3 MB with all that reads a package's metadata),
    pools of threads and of processes, and time zones: the times that it is given have theirs, its own are UTC's."""
    from datetime import UTC, tzinfo

    class Date:
        """The one plug-in that is asked for by its name."""

        name = "date"

        @staticmethod
        def load() -> type:
            from apscheduler.triggers.date import DateTrigger

            trigger: type = DateTrigger
            return trigger

    class NotFound(Exception):
        pass

    def version(_: str) -> NoReturn:
        raise NotFound

    def entry_points(group: str) -> list[type[Date]]:
        return [Date] if group == "apscheduler.triggers" else []

    metadata: Names = {"version": version, "PackageNotFoundError": NotFound, "entry_points": entry_points}
    hollow: dict[str, Names] = {
        "importlib.metadata": metadata,
        "apscheduler.executors.pool": {"ThreadPoolExecutor": NotImplemented},
        "tzlocal": {"get_localzone": lambda: UTC},
        "zoneinfo": {"ZoneInfo": type("ZoneInfo", (tzinfo,), {})},
    }
    try:
        with standing_in(hollow):
            import apscheduler.schedulers.asyncio
            import apscheduler.triggers.date
    except (AttributeError, ImportError):  # one that wants more of them shall have it
        import apscheduler.schedulers.asyncio
        import apscheduler.triggers.date  # noqa: F401
