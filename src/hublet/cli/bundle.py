"""`hublet bundle` and `hublet import`: take the whole cache to another machine, also one without a network."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from hublet.cli.client import connected
from hublet.cli.main import config_of
from hublet.core.errors import HubletError, UsageError

_PATIENCE = 900.0


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--passphrase-file", type=click.Path(path_type=Path, readable=False), help="A file of mode 600 with the passphrase."
)
@click.pass_context
def bundle(ctx: click.Context, file: Path, passphrase_file: Path | None) -> None:
    """Write the whole cache to FILE, for another machine.

    The file is sealed with a passphrase and holds assistants, secrets and earlier revisions. Your Hub key and local
    tokens are not in it. `hublet import FILE` takes it over on the other machine. Whoever has the file can try
    passphrases for as long as they like: choose a long one.
    """
    if os.path.lexists(file):
        raise UsageError(f"{file} is there already", hint="name a new file, or move it away")
    import shutil

    passphrase = _passphrase(passphrase_file, new=True)
    with connected(config_of(ctx)) as client:
        answer: Any = client.call("POST", "/bundle", {"passphrase": passphrase}, patience=_PATIENCE)
    made = Path(answer["file"])
    try:
        _copy(made, file)
    finally:
        shutil.rmtree(made.parent, ignore_errors=True)
    click.echo(f"{file}: {answer['records']} records")


@click.command(name="import")
@click.argument("source", type=click.Path(path_type=Path, exists=True, readable=False), metavar="FILE|DIRECTORY")
@click.option(
    "--passphrase-file", type=click.Path(path_type=Path, readable=False), help="A file of mode 600 with the passphrase."
)
@click.pass_context
def import_(ctx: click.Context, source: Path, passphrase_file: Path | None) -> None:
    """Take over a bundle, or a folder of YAML files.

    `hublet bundle` makes a bundle; in a folder the files are named OWNER/PACKAGE.yaml. Whatever is newer in the cache
    stays, and so does its policy. A folder is read once, and its assistants are served as if the Hub had sent them. To
    use a folder in place of a Hub, set `hub.url: file:///...` in the config instead.
    """
    if source.is_dir():
        with connected(config_of(ctx)) as client:
            answer: Any = client.call("POST", "/import/folder", {"path": str(source.resolve())}, patience=_PATIENCE)
        from hublet.cli.printing import printable

        for problem in answer["problems"]:
            click.echo(printable(problem), err=True)
        click.echo(f"{answer['taken']} of {answer['records']} taken over")
        return
    import shutil
    import tempfile

    from hublet.serve.bundling import INCOMING
    from hublet.store.schema import database_name

    passphrase = _passphrase(passphrase_file, new=False)
    config = config_of(ctx)
    with connected(config) as client:
        # In the data directory, where a daemon in its sandbox can open the copy as a store.
        folder = Path(tempfile.mkdtemp(prefix=INCOMING, dir=config.locate().data))
        try:
            _copy(source, folder / database_name)
            value = {"folder": folder.name, "passphrase": passphrase}
            answer = client.call("POST", "/import", value, patience=_PATIENCE)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    click.echo(f"{answer['taken']} of {answer['records']} records taken over")
    if answer["lost"]:
        click.echo(f"{answer['lost']} could not be read", err=True)


def _passphrase(file: Path | None, *, new: bool) -> str:
    from hublet.keys.asking import Asker

    if file is None and not sys.stdin.isatty():
        raise UsageError("the passphrase is needed, and there is no terminal to ask at", hint="--passphrase-file FILE")
    return Asker(file=file, what="the bundle").ask(new=new).reveal()


def _copy(source: Path, target: Path) -> None:
    """Copy a file with mode 0600 and flush it to disk; no part of it is left after an error. Raises HubletError."""
    import shutil

    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with source.open("rb") as read, os.fdopen(descriptor, "wb") as write:
                shutil.copyfileobj(read, write)
                write.flush()
                os.fsync(write.fileno())
        except BaseException:  # also for Ctrl-C: half a file must not look like a bundle
            target.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise HubletError(f"{target} can't be written: {error.strerror}") from None
