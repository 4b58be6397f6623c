"""`hublet store`: checks, repairs, copies and resets the file of the sealed cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from hublet.cli.main import config_of
from hublet.cli.progress import busy

_PATIENCE = 300.0
"""Seconds that checking or copying a cache may take."""


@click.group()
def store() -> None:
    """Look after the sealed cache."""


@store.command()
@click.confirmation_option(prompt="Move the cache aside and begin with an empty one?")
@click.pass_context
def reset(ctx: click.Context) -> None:
    """Move a cache that can't be opened aside, and begin with an empty one. Nothing is deleted; you have to log in
    again."""
    from hublet.reaching import is_listening
    from hublet.store.reset import reset as move_aside

    places = config_of(ctx).locate()
    moved = move_aside(places.data)
    click.echo(f"The old cache is now {moved}.")
    if is_listening(places.admin_socket):
        click.echo("The hublet that runs begins a new one with that.")
    click.echo("Run `hublet login`.")


@store.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> None:
    """Check the whole cache for damage: the file, the manifest and every record. Nothing is changed.

    The exit code is 0 when all is well and 5 when something is damaged.
    """
    from hublet.cli.client import connected
    from hublet.cli.printing import printable
    from hublet.core.errors import StoreCorrupt

    with connected(config_of(ctx), opening=False) as client, busy("looking the cache through"):
        found: dict[str, Any] = client.call("GET", "/store/check", patience=_PATIENCE)
    if as_json:
        import json

        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(f"format {found['format']}, commit {found['generation']}: {found['records']} records open")
        for line in found["problems"]:
            click.echo(printable(line))
    if not found["fine"]:
        what = [f"{found['unreadable']} records don't open"] if found["unreadable"] else []
        what += [found["unproved"]] if found["unproved"] else []
        raise StoreCorrupt(
            f"the cache is damaged: {'; '.join(what) or 'see above'}",
            hint="`hublet store repair` keeps what can be read; `hublet store restore FILE` takes a backup",
        )
    if not as_json:
        click.echo("The cache is as it was last written.")


@store.command()
@click.option("--accept-missing", is_flag=True, help="Go on even if records may be missing or old.")
@click.pass_context
def repair(ctx: click.Context, accept_missing: bool) -> None:
    """Repair a damaged cache from the records that can still be read. The damaged one is copied aside first.

    Records that can't be read are left out; the next sync brings back what the Hub still has. The manifest lists all
    records; when it can't prove any more that none is missing or old, you have to add --accept-missing.
    """
    from hublet.cli.client import connected
    from hublet.cli.printing import printable

    with connected(config_of(ctx), opening=False) as client, busy("repairing the cache"):
        done: dict[str, Any] = client.call(
            "POST", "/store/repair", {"accept_missing": accept_missing}, patience=_PATIENCE
        )
    if done["aside"] is None:
        click.echo("Nothing has to be repaired.")
        return
    click.echo(f"{done['kept']} records were kept, {done['dropped']} could not be read and were left out.")
    if done["unproved"]:
        click.echo(printable(f"Others may be missing: {done['unproved']}."))
    click.echo(printable(f"The damaged cache is in {done['aside']}."))


@store.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, readable=False))
@click.pass_context
def backup(ctx: click.Context, file: Path) -> None:
    """Copy the sealed cache to FILE. This works also while hublet runs.

    The copy can be opened with the present key of the cache only. Keep a copy of that key too, in another place;
    `hublet keys show` says where it is.
    """
    from hublet.cli.client import connected
    from hublet.core.errors import UsageError
    from hublet.store import backup as copies

    if os.path.lexists(file):
        raise UsageError(f"there is a file {file} already", hint="a backup never overwrites one")
    with connected(config_of(ctx), opening=False) as client, busy("copying the cache"):
        made: dict[str, Any] = client.call("POST", "/store/backup", {}, patience=_PATIENCE)
    copy = Path(made["copy"])
    try:
        copies.keep(copy, file)
    finally:
        copies.remove(copy)
    click.echo(f"{file} has a sealed copy of the cache ({made['size']} bytes).")


@store.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True, readable=False))
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_context
def restore(ctx: click.Context, file: Path, yes: bool) -> None:
    """Replace the cache by a backup, if the key of the cache opens it and nothing in it is damaged.

    The present cache is copied aside first. A backup that is older than the cache is served without secret values until
    you run `hublet store accept`.
    """
    from hublet.cli.client import connected
    from hublet.cli.printing import printable
    from hublet.core.errors import UsageError
    from hublet.serve.upkeep import place_of_copy
    from hublet.store import backup as copies

    config = config_of(ctx)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("restoring a backup needs a person at a terminal, or --yes")
        click.confirm("Put this backup in the place of the cache?", abort=True)
    copy = place_of_copy(config, "restore")
    with connected(config, opening=False) as client, busy("putting the copy in its place"):
        copies.fetch(file, copy)
        try:
            done: dict[str, Any] = client.call("POST", "/store/restore", {}, patience=_PATIENCE)
        finally:
            copies.remove(copy)
    click.echo(f"{done['records']} records are back.")
    if done["aside"] is not None:
        click.echo(printable(f"The cache of before is in {done['aside']}."))
    click.echo("If `hublet status` calls it an older copy, `hublet store accept` serves its secrets again.")


@store.command()
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_context
def accept(ctx: click.Context, yes: bool) -> None:
    """Accept an older copy of the cache that was put back: serve its secret values and honour its tokens again.

    hublet counts the commits to the cache, and keeps the count beside the key. A cache that is behind the count is
    served without secret values: it may hold a token that you have revoked, or a value that you have replaced.
    Accepting is written to the audit log.
    """
    from hublet.cli.client import connected
    from hublet.core.errors import UsageError

    with connected(config_of(ctx)) as client:
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("accepting an older copy needs a person at a terminal, or --yes")
            click.confirm("Was it you who put an older copy of the cache back?", abort=True)
        locked = client.call("POST", "/store/accept")["locked"]
    click.echo(
        "Accepted." + (" It stays locked until the Hub takes the key: this machine wants that." if locked else "")
    )
