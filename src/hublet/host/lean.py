"""Staying small: no library that another one brings along and can do without, no memory kept that nobody uses.

What can be written without a module is loaded as if that were not there (`without`); what insists on names of a module
that it does not use here is given the names alone (`load`).

asyncio brings in `ssl`, hashlib `_hashlib`, and each of them the system's OpenSSL, beside the one that `cryptography`
has of its own: 5 MB of memory and 10 ms of every start. Both are written for Pythons that were built without OpenSSL;
then hashlib computes the same digests by Python's own code. The daemon itself never speaks TLS: a pass is a child
process, and httpx, which is loaded when something is passed through, imports `ssl` for itself and needs none of the
loop's, neither asyncio's nor uvloop's.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
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


def load_libraries() -> None:
    """What the daemon needs before its first answer, each without what it can do without. Called before anything else
    imports them."""
    spare_openssl()
    load_json()


Names = Mapping[str, object]


@contextmanager
def standing_in(modules: Mapping[str, Names]) -> Iterator[None]:
    """Meanwhile importing one of these modules gives one that has just these names; afterwards it is the real one. One
    that has been imported before stays as it is. No other thread may import them meanwhile."""
    hollow = {name: names for name, names in modules.items() if name not in sys.modules}
    for name, names in hollow.items():
        module = sys.modules[name] = ModuleType(name)
        vars(module).update(names)
    try:
        yield
    finally:
        for name in hollow:
            del sys.modules[name]


def load(*wanted: str, hollow: Mapping[str, Names]) -> None:
    """Import what is `wanted` while others stand in for what it imports and does not use here. A later version of it
    that does use more is given the real ones. What has been imported before stays as it is. Raises ImportError."""
    if sys.modules.keys() >= set(wanted):
        return
    try:
        with standing_in(hollow):
            for name in wanted:
                import_module(name)
    except (AttributeError, ImportError):
        for name in wanted:
            import_module(name)


_CLASSES_OF_SSL = (
    *("SSLContext", "MemoryBIO", "create_default_context", "CertificateError"),
    *("SSLError", "SSLWantReadError", "SSLSyscallError", "SSLZeroReturnError"),
)
_NUMBERS_OF_SSL = {"SSL_ERROR_WANT_READ": 2, "SSL_ERROR_WANT_WRITE": 3, "SSL_ERROR_SYSCALL": 5}


def load_uvloop() -> None:
    """uvloop without OpenSSL: it keeps these names for a loop that is asked for TLS. Raises ImportError where it is not
    installed."""
    classes = {name: type(name, (Exception,), {}) for name in _CLASSES_OF_SSL}
    load("uvloop", hollow={"ssl": {**classes, **_NUMBERS_OF_SSL}})


def load_json() -> None:
    """orjson with `uuid`, which only asks the kernel's name of `platform`, a module of a dozen regular expressions."""
    load("orjson", hollow={"platform": {"system": lambda: os.uname().sysname}})


def load_scheduler() -> None:
    """APScheduler without plug-ins (3 MB with all that reads a package's metadata), pools of threads and of processes,
    and time zones: the times that it is given have theirs, its own are UTC's."""
    from datetime import UTC, tzinfo

    class Date:
        """The one plug-in that is asked for by its name."""

        name = "date"

        @staticmethod
        def load() -> object:
            return import_module("apscheduler.triggers.date").DateTrigger

    class NotFound(Exception):
        pass

    def version(_: str) -> NoReturn:
        raise NotFound

    def entry_points(group: str) -> list[type[Date]]:
        return [Date] if group == "apscheduler.triggers" else []

    hollow: dict[str, Names] = {
        "importlib.metadata": {
            "version": version, "PackageNotFoundError": NotFound, "entry_points": entry_points,
        },
        "apscheduler.executors.pool": {"ThreadPoolExecutor": NotImplemented},
        "tzlocal": {"get_localzone": lambda: UTC},
        "zoneinfo": {"ZoneInfo": type("ZoneInfo", (tzinfo,), {})},
    }  # fmt: skip
    load("apscheduler.schedulers.asyncio", "apscheduler.triggers.date", hollow=hollow)


def load_watcher() -> None:
    """watchdog without `ctypes.util`, which it imports for nothing, and with which come shutil and tempfile."""
    load("watchdog.observers", hollow={"ctypes.util": {}})
