"""`hublet run`: the process around the daemon, with its log and its event loop.

Imports stand where they are first needed, so that nothing is loaded before the first answer that it does not need.
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
"""Seconds after which a thread that computes has to let others run: a client may wait so long for a pass in a
thread."""


def run(file: Path | None, *, debug: bool = False) -> None:
    """Run the daemon in the foreground until a signal ends it. `file` is the config file; None for the usual one.

    Raises HubletError if it can't start.
    """
    gc.disable()  # until all is loaded
    hardened = harden()
    spare_arenas()
    load_libraries()
    import asyncio

    from hublet.config.loading import find_config, load_config, usual_config
    from hublet.daemon import Daemon
    from hublet.host.activation import handed_over
    from hublet.host.notify import Notifier
    from hublet.host.signature import signature
    from hublet.redaction import watch

    # First of all, since this removes the variables: they are meant for this process, and for no child of it.
    notifier, descriptors = Notifier.from_environment(os.environ), handed_over(os.environ)
    found = find_config(file, os.environ)
    path = found or usual_config()
    seen = signature(path)  # taken before it is read: whatever is written from now on is a change
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
        gc.freeze()  # what is there now stays, and need not be looked through again
        await daemon.run()

    with asyncio.Runner(loop_factory=_loop()) as runner:
        runner.run(serve())


def _loop() -> Callable[[], AbstractEventLoop] | None:
    """What makes the event loop: uvloop's if it is installed (`hublet[fast]`), else None for asyncio's own."""
    try:
        load_uvloop()
        from uvloop import new_event_loop
    except ImportError:
        return None
    made: Callable[[], AbstractEventLoop] = new_event_loop
    return made


def log_to_stderr(level: str) -> Redactor:
    """Log to standard error, or to the journal if that is what it is, through the redactor that is returned. The
    redactor still has to be told what is secret (`Redactor.watch`)."""
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
    # At level info, httpx logs every URL and APScheduler every job. watchdog logs every event of a file: if the log is
    # beside the config, each line would be the next event.
    for name in ("httpx", "httpcore", "apscheduler", "watchdog"):
        logging.getLogger(name).setLevel(logging.WARNING)
    redactor = Redactor()
    for handler in logging.getLogger().handlers:
        handler.addFilter(redactor)
    return redactor
