"""`hublet run`: the process around the daemon. Its log, its signals' owner, its event loop.

Imports stand where they are needed, in order: what is loaded before the first answer is what the first answer takes.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hublet.host.hardening import harden
from hublet.host.lean import load_libraries, load_uvloop, spare_arenas

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from hublet.redaction import Redactor

_SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that computes hands the interpreter on: so long a client may wait for a pass."""


def run(file: Path | None, *, debug: bool = False) -> None:
    """Run the daemon in the foreground until a signal ends it. `file` is the config file, None for the usual one.

    Raises HubletError for what keeps it from starting.
    """
    gc.disable()  # until all is loaded
    hardened = harden()
    spare_arenas()
    load_libraries()
    import asyncio

    from hublet.config import find_config, load_config, usual_config
    from hublet.daemon import Daemon
    from hublet.host.activation import handed_over
    from hublet.host.notify import Notifier
    from hublet.host.signature import signature
    from hublet.redaction import watch

    # First of all: these variables are meant for this process and no child of it.
    notifier, descriptors = Notifier.from_environment(os.environ), handed_over(os.environ)
    found = find_config(file, os.environ)
    path = found or usual_config()
    seen = signature(path)  # before it is read: whatever is written from now on is a change
    config = load_config(found)
    redactor = log_to_stderr("debug" if debug else config.log.level)
    redactor.install()
    if not hardened:
        logging.getLogger("hublet").warning("core dumps can't be switched off here")
    sys.setswitchinterval(_SWITCH_INTERVAL)

    async def serve() -> None:
        daemon = Daemon(config, file=path, seen=seen, notifier=notifier, handed_over=descriptors)
        daemon.on_service.append(lambda service: watch(redactor, service))
        daemon.heed_signals()
        await daemon.start()
        gc.enable()
        gc.collect()
        gc.freeze()  # what is here now stays, and need not be looked through again
        await daemon.run()

    with asyncio.Runner(loop_factory=_loop()) as runner:
        runner.run(serve())


def _loop() -> Callable[[], AbstractEventLoop] | None:
    """uvloop's where it is installed (`hublet[fast]`), else asyncio's own."""
    try:
        load_uvloop()
        from uvloop import new_event_loop
    except ImportError:
        return None
    made: Callable[[], AbstractEventLoop] = new_event_loop
    return made


def log_to_stderr(level: str) -> Redactor:
    """What is logged goes through the redactor, which is returned; it has still to be told what is secret."""
    from hublet.host.journal import JournalHandler, is_journal
    from hublet.redaction import Redactor

    handler: logging.Handler
    if is_journal(os.environ):
        handler = JournalHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # httpx tells every URL at info, APScheduler every job: neither is ours to tell. watchdog tells every event: where
    # the log lies beside the config, telling one would be the next one.
    for name in ("httpx", "httpcore", "apscheduler", "watchdog"):
        logging.getLogger(name).setLevel(logging.WARNING)
    redactor = Redactor()
    for handler in logging.getLogger().handlers:
        handler.addFilter(redactor)
    return redactor
