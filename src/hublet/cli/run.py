"""`hublet run`: the daemon in the foreground, as a service manager starts it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import click

from hublet.cli.main import config_of
from hublet.host.hardening import harden
from hublet.host.journal import JournalHandler, is_journal
from hublet.redaction import Redactor, watch


@click.command()
@click.option("--debug", is_flag=True, help="Log everything, whatever log.level says. No secret is in it.")
@click.pass_context
def run(ctx: click.Context, debug: bool) -> None:
    """Run the daemon in the foreground.

    Logs go to standard error; where that is systemd's journal, with levels and fields. SIGTERM and Ctrl-C end it:
    requests in work are answered first. SIGHUP, or a change of the config file, makes it take over what has changed.
    """
    hardened = harden()
    from hublet.config import find_config, usual_config
    from hublet.daemon import Daemon
    from hublet.host.activation import handed_over
    from hublet.host.notify import Notifier

    # First of all: these variables are meant for this process and no child of it.
    notifier, descriptors = Notifier.from_environment(os.environ), handed_over(os.environ)
    file = find_config(ctx.find_root().obj, os.environ) or usual_config()
    config = config_of(ctx)
    redactor = log_to_stderr("debug" if debug else config.log.level)
    redactor.install()
    if not hardened:
        logging.getLogger("hublet").warning("core dumps can't be switched off here")

    async def serve() -> None:
        daemon = Daemon(config, file=file, notifier=notifier, handed_over=descriptors)
        daemon.on_service.append(lambda service: watch(redactor, service))
        await daemon.start()
        await daemon.run()

    asyncio.run(serve())


def log_to_stderr(level: str) -> Redactor:
    """What is logged goes through the redactor, which is returned; it has still to be told what is secret."""
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
