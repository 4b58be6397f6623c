"""`hublet config`: checks the config file before a daemon uses it."""

from __future__ import annotations

import os

import click

from hublet.cli.main import config_of


@click.group()
def config() -> None:
    """Check the config file."""


@config.command()
@click.pass_context
def check(ctx: click.Context) -> None:
    """Read the config file and report every problem in it, or that there is none."""
    from hublet.config.loading import find_config
    from hublet.config.managed import load_managed

    found = find_config(ctx.find_root().obj, os.environ)
    settings = config_of(ctx)
    places = settings.locate()
    click.echo(f"config: {found or 'none, all defaults'}")
    click.echo(f"Hub:    {settings.hub.url}")
    click.echo(f"data:   {places.data}")
    managed = load_managed()
    for line in managed.described():
        click.echo(f"managed by {managed.file}: {line}")
    click.echo("ok")
