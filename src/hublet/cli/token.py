"""`hublet token`: local tokens, for clients of which the kernel can't tell who they are."""

from __future__ import annotations

import time

import click

from hublet.cli import known
from hublet.cli.client import connected
from hublet.cli.main import config_of
from hublet.core.errors import UsageError


@click.group(invoke_without_command=True)
@click.option("--name", help="A name that says what the token is for; it is listed and revoked by it.")
@click.option(
    "--scope", type=click.Choice(["read", "secrets"]), default="secrets", show_default=True,
    help="read: configs with references in place of secret values; secrets: everything.",
)  # fmt: skip
@click.option("--expires", metavar="DURATION", help="How long the token is valid, such as 30d; for ever if left out.")
@click.pass_context
def token(ctx: click.Context, name: str | None, scope: str, expires: str | None) -> None:
    """Make a local token and print it, once.

    A client sends it as `Authorization: Bearer hublet_...`. It is needed where the kernel can't tell that a client is
    yours (in a container, as root, under WSL), and with `serve.access: token`. The Hub does not know it.
    """
    if ctx.invoked_subcommand is not None:
        return
    from hublet.core.units import parse_duration

    if not name:
        raise UsageError("a token needs a name", hint="hublet token --name laptop-container")
    try:
        expires_in = parse_duration(expires) if expires else None
    except ValueError as error:
        raise UsageError(f"--expires: {error}") from None
    with connected(config_of(ctx)) as client:
        made = client.call("POST", "/tokens", {"name": name, "scope": scope, "expires_in": expires_in})
    click.echo(made["token"])


@token.command("list")
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List the tokens by name, with scope and end. The tokens themselves are not shown."""
    with connected(config_of(ctx)) as client:
        found = client.call("GET", "/tokens")["tokens"]
    for one in found if isinstance(found, list) else []:
        until = one["expires_at"]
        ends = time.strftime("%Y-%m-%d %H:%M", time.localtime(until)) if until else "never"
        click.echo(f"{one['name']}\t{one['scope']}\tends {ends}")


@token.command()
@click.argument("name", shell_complete=known.tokens)
@click.pass_context
def revoke(ctx: click.Context, name: str) -> None:
    """Revoke a token: it is refused from now on."""
    from urllib.parse import quote

    with connected(config_of(ctx)) as client:
        client.call("DELETE", f"/tokens/{quote(name, safe='')}")
    click.echo(f"{name} is revoked.")
