"""`hublet store`: the sealed cache as a file."""

from __future__ import annotations

import click

from hublet.cli.main import config_of


@click.group()
def store() -> None:
    """Look after the sealed cache."""


@store.command()
@click.confirmation_option(prompt="Move the cache aside and begin with an empty one?")
@click.pass_context
def reset(ctx: click.Context) -> None:
    """Move a cache that can't be opened aside and begin anew. Nothing is deleted; you have to log in again."""
    from hublet.cli.client import is_listening
    from hublet.store.reset import reset as move_aside

    places = config_of(ctx).locate()
    moved = move_aside(places.data)
    click.echo(f"The old cache is now {moved}.")
    if is_listening(places.admin_socket):
        click.echo("The hublet that runs could not open it and does not look again: start it again.")
    click.echo("Run `hublet login`.")
