"""`hublet run`: the daemon in the foreground, as a service manager starts it."""

from __future__ import annotations

import click


@click.command()
@click.option("--debug", is_flag=True, help="Log everything, whatever log.level says. No secret is in it.")
@click.pass_context
def run(ctx: click.Context, debug: bool) -> None:
    """Run the daemon in the foreground.

    Logs go to standard error; where that is systemd's journal, with levels and fields. SIGTERM and Ctrl-C end it:
    requests in work are answered first. SIGHUP, or a change of the config file, makes it take over what has changed.
    """
    from hublet.running import run as run_daemon

    run_daemon(ctx.find_root().obj, debug=debug)
