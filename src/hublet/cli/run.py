"""`hublet run`: runs the daemon in the foreground, as a service manager does."""

from __future__ import annotations

import click


@click.command()
@click.option("--debug", is_flag=True, help="Log everything, whatever log.level says. Secrets are never logged.")
@click.pass_context
def run(ctx: click.Context, debug: bool) -> None:
    """Run the daemon in the foreground.

    The log goes to standard error; if that is systemd's journal, with levels and fields. SIGTERM and Ctrl-C end the
    daemon, after requests in progress are answered. SIGHUP, or a change of the config file, makes it use the new
    config.
    """
    from hublet.running import run as run_daemon

    run_daemon(ctx.find_root().obj, debug=debug)
