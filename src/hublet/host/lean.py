"""Keeps the process small: leaves out modules that libraries import but don't need here, and gives memory back.

A library that also works without a module is imported while that module can't be found (`without`). A library that
needs only names of a module, which it never uses here, is imported with a stand-in that has just those names (`load`).

asyncio imports `ssl` and hashlib imports `_hashlib`. Each of them loads the system's OpenSSL, although `cryptography`
brings one of its own; that takes 5 MB of memory and 10 ms of every start. Both asyncio and hashlib also work in Pythons
that were built without OpenSSL: hashlib then computes the same digests with Python's own code. The daemon itself never
speaks TLS. A pass runs in a child process, and httpx, which is imported when something is passed through, imports `ssl`
by itself and does not use the TLS of asyncio's or uvloop's loop.
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
"""The parameter of glibc's mallopt(3)."""


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Within this context these modules can't be imported, as if they were not installed. Modules that were imported
    before stay as they are."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # None makes the import system raise ImportError
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def spare_arenas() -> None:
    """Have all threads allocate from one heap (glibc's arenas): each heap keeps memory that was freed, and the threads
    hardly ever run at the same time. Does nothing where the C library is not glibc."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return free memory to the system (malloc_trim(3)). Blocks, but does not hold the GIL."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def collector_resting() -> Iterator[None]:
    """Within this context the garbage collector does not look for cycles: with ten thousand records, among which there
    are none, that holds the interpreter for 0.1 s. Objects without references are freed all the same."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def spare_openssl() -> None:
    """Import asyncio, hashlib and hmac without OpenSSL. To be called before anything else imports them."""
    with without("ssl", "_ssl", "_hashlib"):
        import asyncio  # noqa: F401
        import hashlib  # noqa: F401
        import hmac  # noqa: F401


def load_libraries() -> None:
    """Import the libraries that the daemon needs before its first answer, each without the modules that it does not
    need here. To be called before anything else imports them."""
    spare_openssl()
    load_json()


Names = Mapping[str, object]


@contextmanager
def standing_in(modules: Mapping[str, Names]) -> Iterator[None]:
    """Within this context, importing one of these modules gives a module that has just these names; afterwards it gives
    the real one. Modules that were imported before stay as they are. No other thread may import them meanwhile."""
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
    """Import the modules `wanted`, while the modules in `hollow` are replaced by stand-ins with just the names given
    there. When that fails, because a later version uses more of them, they are imported with the real modules. Modules
    that were imported before stay as they are. Raises ImportError."""
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
    """Import uvloop without OpenSSL. uvloop needs the names of `ssl` only when its loop is asked for TLS. Raises
    ImportError when uvloop is not installed."""
    classes = {name: type(name, (Exception,), {}) for name in _CLASSES_OF_SSL}
    load("uvloop", hollow={"ssl": {**classes, **_NUMBERS_OF_SSL}})


def load_json() -> None:
    """Import orjson without `platform`. orjson imports `uuid`, which only asks `platform` for the kernel's name;
    importing `platform` itself compiles a dozen regular expressions."""
    load("orjson", hollow={"platform": {"system": lambda: os.uname().sysname}})


def load_scheduler() -> None:
    """Import APScheduler without its plug-ins (reading packages' metadata takes 3 MB), without pools of threads and
    processes, and without time zones: the times that it is given have theirs, and its own are in UTC."""
    from datetime import UTC, tzinfo

    class Date:
        """The entry point of the trigger `date`, the only plug-in that is asked for by name."""

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
    """Import watchdog without `ctypes.util`, which it never uses and which would import shutil and tempfile."""
    load("watchdog.observers", hollow={"ctypes.util": {}})
