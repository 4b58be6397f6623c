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
    from hublet.store.reset import reset as move_aside

    moved = move_aside(config_of(ctx).locate().data)
    click.echo(f"The old cache is now {moved}. Run `hublet login`.")
