"""`hublet secrets`: lists cached secrets with their state. A value is shown only at a terminal, and that is audited."""

from __future__ import annotations

import sys
from typing import Any

import click

from hublet.cli import known
from hublet.cli.client import connected
from hublet.cli.main import config_of
from hublet.cli.printing import json_of, printable
from hublet.core.errors import UsageError


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_context
def secrets(ctx: click.Context, as_json: bool) -> None:
    """List the cached secrets.

    Each with its state, where the Hub found it, who refers to it, and when it was last confirmed. The state is fresh,
    stale, expired, locked, location-only (a secret of an organization or a package, whose value the Hub keeps),
    missing, or overridden (the setting secrets.override gives its value). No values are shown.
    """
    if ctx.invoked_subcommand is not None:
        return
    with connected(config_of(ctx)) as client:
        found = client.call("GET", "/secrets", patience=300.0)["secrets"]
    if as_json:
        click.echo(json_of({"secrets": found}))
        return
    if not isinstance(found, list) or not found:
        click.echo("No secret is cached.")
        return
    _table(found)


@secrets.command()
@click.argument("name", shell_complete=known.secrets)
@click.option("--scope", help="The organization in which to look, by its slug or id; the personal scope if left out.")
@click.pass_context
def get(ctx: click.Context, name: str, scope: str | None) -> None:
    """Print the value of the secret NAME. This works only at a terminal, and is written to the audit log."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "a secret's value is told to a person at a terminal only",
            hint="programs ask as your IDE does: sync-secrets",
        )
    with connected(config_of(ctx)) as client:
        answer = client.call("POST", "/secrets/get", {"name": name, "scope": scope}, patience=300.0)
    value = str(answer["value"])
    shown = "\t".join(map(printable, value.split("\t")))
    click.echo(shown)
    if shown != value:
        click.echo("Characters that would steer the terminal are shown as marks.", err=True)


def _table(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from hublet.cli.printing import duration

    table = Table("secret", "scope")
    table.add_column("state", no_wrap=True)
    for name in ("found at", "referred by", "confirmed"):
        table.add_column(name)
    for one in found:
        confirmed = f"{duration(one['age'])} ago" if one["age"] is not None else ""
        who, where = "\n".join(one["referred_by"]), one["scope"] or "personal"
        cells = (one["name"], where, one["state"], one["found_at"], who, confirmed)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    Console(highlight=False).print(table)
