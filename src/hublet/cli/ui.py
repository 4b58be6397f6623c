"""`hublet ui`: serves the web page until nobody has it open any more."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from hublet.cli.main import config_of

if TYPE_CHECKING:
    from hublet.ui.opening import Doorway


@click.command()
@click.option("--no-browser", is_flag=True, help="Only print the link; open it yourself.")
@click.option(
    "--idle",
    metavar="DURATION",
    default="15m",
    show_default=True,
    help="End this long after the last page is closed.",
)
@click.pass_context
def ui(ctx: click.Context, no_browser: bool, idle: str) -> None:
    """Show the cache and its changes in your browser.

    This command serves the page on a free port of this machine, until Ctrl-C or until nobody has the page open. The
    link works once and within five minutes; until then it is a secret. If no hublet is running the page waits for one.
    """
    import asyncio

    from hublet.config.loading import find_config
    from hublet.core.errors import UsageError
    from hublet.core.units import duration, parse_duration
    from hublet.ui.opening import Doorway, has_screen
    from hublet.ui.server import Server

    try:
        seconds = parse_duration(idle)
    except ValueError as error:
        raise UsageError(f"--idle: {error}") from None
    if not seconds:
        raise UsageError("--idle: a page that ends at once can't be looked at", hint="such as --idle 15m")
    places = config_of(ctx).locate()
    file = find_config(ctx.find_root().obj, os.environ)
    server = Server(places.admin_socket, file, idle=seconds)

    async def serve() -> str:
        await server.start()
        click.echo(f"hublet's page: {server.url}")
        click.echo(f"It ends with Ctrl-C, or {duration(seconds)} after the last page is closed.")
        doorway = Doorway(places.runtime, server.port)
        server.on_taken.append(doorway.remove)
        try:
            if not no_browser and has_screen(os.environ):
                await _open(doorway, server.url)
            return await server.run()
        finally:
            doorway.remove()

    click.echo(f"The page has ended: {asyncio.run(serve())}.")


async def _open(doorway: Doorway, url: str) -> None:
    """Have the browser open the page. If that does not work the user still has the printed link."""
    import asyncio

    from hublet.ui.opening import open_browser

    try:
        doorway.write(url)
    except OSError as error:
        click.echo(f"no browser is opened: {doorway.path}: {error.strerror}", err=True)
        return
    if not await asyncio.to_thread(open_browser, doorway.path):
        click.echo("no browser was found: open the link yourself", err=True)
