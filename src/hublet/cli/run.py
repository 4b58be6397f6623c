"""`hublet run`: the daemon in the foreground, as a service manager starts it."""

from __future__ import annotations

import asyncio
import logging
import sys

import click

from hublet.cli.main import config_of


@click.command()
@click.pass_context
def run(ctx: click.Context) -> None:
    """Run the daemon in the foreground.

    Logs go to standard error. SIGTERM and Ctrl-C end it: requests in work are answered first.
    """
    from hublet.daemon import Daemon

    config = config_of(ctx)
    log_to_stderr(config.log.level)

    async def serve() -> None:
        daemon = Daemon(config)
        await daemon.start()
        await daemon.run()

    asyncio.run(serve())


def log_to_stderr(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # httpx tells every URL at info, APScheduler every job: neither is ours to tell.
    for name in ("httpx", "httpcore", "apscheduler"):
        logging.getLogger(name).setLevel(logging.WARNING)
