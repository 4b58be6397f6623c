"""`hublet forget`: deletes the cache and its key for good."""

from __future__ import annotations

import sys
from typing import Any

import click

from hublet.cli.client import connected
from hublet.cli.main import config_of
from hublet.cli.printing import printable
from hublet.core.errors import UsageError

_PATIENCE = 300.0
"""Seconds. It may take long, since somebody may have to unlock a keyring."""


@click.command()
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_context
def forget(ctx: click.Context, yes: bool) -> None:
    """Delete the cache and its key for good.

    The key is destroyed first. Caches that were moved aside and the audit log are deleted too. The account, the local
    tokens and everything in the cache are lost. Your config, what `hublet point` has set up and the service stay. So do
    backups that you made: they can be opened as long as there is a copy of their key. A running hublet goes on without
    a cache until `hublet login`.
    """
    with connected(config_of(ctx), opening=False) as client:
        shown: dict[str, Any] = client.call("GET", "/forget")
        if not yes:
            _ask(shown)
        said: dict[str, Any] = client.call("POST", "/forget", {}, patience=_PATIENCE)
    for line in described(said):
        click.echo(printable(line))


def _ask(shown: dict[str, Any]) -> None:
    if not sys.stdin.isatty():
        raise UsageError("forgetting needs a person at a terminal, or --yes")
    for path in shown["files"]:
        click.echo(printable(f"  {path}"))
    for where in shown["keys"]:
        click.echo(printable(f"  the key: {where}"))
    click.confirm("Destroy all this for good?", abort=True)


def described(said: dict[str, Any]) -> list[str]:
    """What `hublet forget` prints."""
    if not said["found"]:
        return ["There was no cache to forget."]
    lines = ["The cache is forgotten: its key was destroyed first, then its files were deleted."]
    lines += [f"The key is gone from {where}." for where in said["discarded"]]
    if said["credential"]:
        lines.append("The credential is the administrator's and stays; it opens nothing any more.")
    lines += [f"Left alone, since other things are in it: {path}" for path in said["left"]]
    return [*lines, "`hublet login` begins a new one."]
