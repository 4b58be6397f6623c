"""`hublet quarantine`: what the Hub says is gone or changed, and only you can agree with."""

from __future__ import annotations

from typing import Any

import click

from hublet.cli import known
from hublet.cli.client import connected
from hublet.cli.main import config_of
from hublet.cli.printing import json_of, printable


@click.group(invoke_without_command=True)
@click.option("--all", "every", is_flag=True, help="List what you have rejected, too.")
@click.pass_context
def quarantine(ctx: click.Context, every: bool) -> None:
    """List what the Hub no longer names and hublet goes on serving until you accept.

    A whole scope that is suddenly empty, many assistants or an organization gone at once, an account that is refused
    everything: it may be meant, it may be a fault of the Hub. Time alone never decides it. With sync.hold_commands,
    also the assistants that change what they run or where they send things; until then the last good one is served.
    """
    if ctx.invoked_subcommand is not None:
        return
    with connected(config_of(ctx)) as client:
        found: Any = client.call("GET", "/status").get("quarantine") or []
    held = [one for one in found if every or not one["rejected"]]
    if not held:
        click.echo("Nothing is in quarantine.")
        return
    for one in held:
        _tell(one)


def _tell(one: dict[str, Any]) -> None:
    what = one["what"]
    if one["changes"]:
        where = f" (in {one['scope']})" if one["scope"] else ""
        head = f"{what}{where}: changes what it runs or where it sends things"
    elif what == "everything":
        head = "everything: the Hub refuses all that is your account's"
    else:
        head = f"{what}: no longer named by the Hub"
    click.echo(printable(head + ("; you keep what there is" if one["rejected"] else "")))
    for line in one["changes"] or one["gone"]:
        click.echo(printable(f"  {line}"))
    click.echo(printable(f"  to look closer: hublet quarantine show '{what}'"))
    click.echo(printable(f"  to agree: hublet quarantine accept '{what}'"))
    if not one["rejected"]:
        click.echo(printable(f"  to keep what there is: hublet quarantine reject '{what}'"))


@quarantine.command()
@click.argument("what", shell_complete=known.held)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_context
def show(ctx: click.Context, what: str, as_json: bool) -> None:
    """Show what would no longer be served, or be another, if you accepted WHAT. Secrets are shown as references."""
    with connected(config_of(ctx)) as client:
        held: Any = client.call("POST", "/quarantine/show", {"what": what}, patience=120.0)["held"]
    if as_json:
        click.echo(json_of(held))
        return
    for one in held:
        click.echo(printable(f"{one['what']}{' in ' + one['scope'] if one['scope'] else ''}"))
        for head, lines in (
            ("the Hub answers", one["says"]),
            ("would no longer be served", one["gone"]),
            ("would run or send elsewhere", one["endpoints"]),
        ):
            if lines:
                click.echo(f"{head}:")
                for line in lines:
                    click.echo(printable(f"  {line}"))
        for part in one["differences"]:
            click.secho(printable(f"{part['section']}: {part['name']} {part['how']}"), bold=True)
            for line in part["lines"]:
                click.secho(printable(f"  {line}"), fg={"+": "green", "-": "red"}.get(line[:1]))


@quarantine.command()
@click.argument("what", shell_complete=known.held)
@click.pass_context
def accept(ctx: click.Context, what: str) -> None:
    """Agree with WHAT is held: gone, it is withdrawn at once; changed, it is served from now on."""
    with connected(config_of(ctx)) as client:
        client.call("POST", "/quarantine/accept", {"what": what})
    click.echo("Accepted.")


@quarantine.command()
@click.argument("what", shell_complete=known.held)
@click.pass_context
def reject(ctx: click.Context, what: str) -> None:
    """Keep what there is of WHAT. The same is not held up to you again; what else the Hub says of it is."""
    with connected(config_of(ctx)) as client:
        client.call("POST", "/quarantine/reject", {"what": what})
    click.echo("Rejected: what there is, is kept.")
