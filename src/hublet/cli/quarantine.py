"""`hublet quarantine`: changes by the Hub that take effect only when the user accepts them."""

from __future__ import annotations

from typing import Any

import click

from hublet.cli import known
from hublet.cli.client import connected
from hublet.cli.main import config_of
from hublet.cli.printing import json_of, printable


@click.group(invoke_without_command=True)
@click.option("--all", "every", is_flag=True, help="Also list what you have rejected.")
@click.pass_context
def quarantine(ctx: click.Context, every: bool) -> None:
    """List changes by the Hub that need your consent.

    These are mostly things that the Hub no longer names, and that hublet goes on serving until you accept it. This
    happens when a whole scope is suddenly empty, when many assistants or an organization are gone at once, or when the
    Hub refuses the account everything. It may be intended, or a fault of the Hub, so you have to decide; it never takes
    effect by time alone. With the setting sync.hold_commands, assistants that change which programs they run or where
    they send data are held too; until you accept, the last revision before the change is served.
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
    """Show what accepting WHAT would remove or change. Secrets are shown as references."""
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
    """Accept WHAT is held: what is gone is withdrawn at once, what has changed is served from now on."""
    with connected(config_of(ctx)) as client:
        client.call("POST", "/quarantine/accept", {"what": what})
    click.echo("Accepted.")


@quarantine.command()
@click.argument("what", shell_complete=known.held)
@click.pass_context
def reject(ctx: click.Context, what: str) -> None:
    """Reject WHAT is held and keep serving what there is. You are asked again only when the Hub says something else."""
    with connected(config_of(ctx)) as client:
        client.call("POST", "/quarantine/reject", {"what": what})
    click.echo("Rejected: what there is, is kept.")
