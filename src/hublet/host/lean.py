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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

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


_CLASSES_OF_SSL = (
    *("SSLContext", "MemoryBIO", "create_default_context", "CertificateError"),
    *("SSLError", "SSLWantReadError", "SSLSyscallError", "SSLZeroReturnError"),
)
_NUMBERS_OF_SSL = {"SSL_ERROR_WANT_READ": 2, "SSL_ERROR_WANT_WRITE": 3, "SSL_ERROR_SYSCALL": 5}


@contextmanager
def stand_in_for_ssl() -> Iterator[None]:
    """Meanwhile `import ssl` gives a module with what uvloop takes from it when it is loaded, and with nothing in it: a
    loop that is never asked for TLS keeps those names and does not use them. Afterwards `ssl` is Python's own again."""
    if "ssl" in sys.modules:
        yield
        return
    module = sys.modules["ssl"] = ModuleType("ssl")
    vars(module).update(_NUMBERS_OF_SSL)
    vars(module).update({name: type(name, (Exception,), {}) for name in _CLASSES_OF_SSL})
    try:
        yield
    finally:
        del sys.modules["ssl"]
