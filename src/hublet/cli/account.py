"""`hublet login`, `lock`, `unlock`: the account and its secrets."""

from __future__ import annotations

import sys

import click

from hublet.cli.client import Client, connected
from hublet.cli.keyring_offer import offer
from hublet.cli.main import config_of
from hublet.core.errors import UsageError


@click.command()
@click.option("--fresh", is_flag=True, help="For another account: drop everything that is cached for the last one.")
@click.pass_context
def login(ctx: click.Context, fresh: bool) -> None:
    """Store your Hub key, sealed, for the Hub that hub.url names.

    The key is asked for, or read from standard input when that is not a terminal. Keys begin with con_ and are made in
    the account settings of the Hub; signing in with a browser alone does not give you one.
    """
    from hublet.core.account import check_key

    config = config_of(ctx)
    typed = sys.stdin.isatty()
    key = check_key(click.prompt("Hub key (con_...)", hide_input=True, err=True) if typed else sys.stdin.read(4096))
    config = offer(ctx, config)
    with connected(config) as client:
        answer = client.call("POST", "/login", {"key": key.reveal(), "fresh": fresh})
        click.echo(f"The key is stored for {answer['origin']}.")
        first_sync(client)


def first_sync(client: Client) -> None:
    from hublet.cli.sync import report

    report(client)


@click.command()
@click.pass_context
def lock(ctx: click.Context) -> None:
    """Stop serving secret values now. Configs are served with references in place of the values."""
    with connected(config_of(ctx)) as client:
        client.call("POST", "/lock")
    click.echo("Locked: no secret value is served until `hublet unlock --offline`.")


@click.command()
@click.option("--offline", is_flag=True, help="Unlock on your own authority, without asking the Hub.")
@click.pass_context
def unlock(ctx: click.Context, offline: bool) -> None:
    """Serve secret values again. Without --offline the Hub is asked whether it still takes the key."""
    with connected(config_of(ctx)) as client:
        if not offline:
            from hublet.cli.sync import report

            report(client)
            status = client.call("GET", "/status")
            if status["state"] != "locked":
                click.echo("Unlocked: the Hub takes the key.")
                return
            lock = status["lock"]
            if isinstance(lock, dict) and lock.get("why") == "restored":
                raise UsageError("the cache is an older copy that was put back", hint="see `hublet store accept`")
            raise UsageError("the cache is still locked", hint="`hublet unlock --offline` at a terminal unlocks it")
        if not sys.stdin.isatty():
            raise UsageError("unlocking needs a person at a terminal")
        click.confirm("Serve the cached secret values although the Hub has not agreed?", abort=True)
        locked = client.call("POST", "/unlock")["locked"]
    click.echo("Unlocked." if not locked else "Unlocked as soon as the Hub takes the key: `hublet unlock` asks it.")
