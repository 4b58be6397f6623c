"""`hublet quarantine`: what the Hub says is gone or changed, and only you can agree with."""

from __future__ import annotations

import click

from hublet.cli.client import connected
from hublet.cli.main import config_of


@click.group(invoke_without_command=True)
@click.pass_context
def quarantine(ctx: click.Context) -> None:
    """List what the Hub no longer names and hublet goes on serving until you accept.

    A whole scope that is suddenly empty, many assistants or an organization gone at once: it may be meant, it may be a
    fault of the Hub. Time alone never decides it. With sync.hold_commands, also the assistants that change what they
    run or where they send things; until then the last good one is served.
    """
    if ctx.invoked_subcommand is not None:
        return
    from hublet.cli.printing import printable

    with connected(config_of(ctx)) as client:
        held = client.call("GET", "/status").get("quarantine")
    if not isinstance(held, list) or not held:
        click.echo("Nothing is in quarantine.")
        return
    for one in held:
        if one["changes"]:
            where = f" (in {one['scope']})" if one["scope"] else ""
            click.echo(printable(f"{one['what']}{where}: changes what it runs or where it sends things"))
        else:
            click.echo(printable(f"{one['what']}: no longer named by the Hub"))
        for line in one["changes"] or one["gone"]:
            click.echo(printable(f"  {line}"))
        click.echo(printable(f"  to agree: hublet quarantine accept '{one['what']}'"))


@quarantine.command()
@click.argument("what")
@click.pass_context
def accept(ctx: click.Context, what: str) -> None:
    """Agree with WHAT is held: gone, it is withdrawn at once; changed, it is served from now on."""
    with connected(config_of(ctx)) as client:
        client.call("POST", "/quarantine/accept", {"what": what})
    click.echo("Accepted.")
