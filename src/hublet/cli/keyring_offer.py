"""Offers to keep the key of a new cache in the session's keyring, if there is a keyring.

If the user agrees, `keys.source: keyring` is written to a new config file. A config file that exists already is never
changed: the line to add is printed instead. The keyring is never chosen without the user's consent, and hublet never
falls back to another source later.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hublet.config.loading import Config

_TEXT = "keys:\n  source: keyring\n"


def offer(ctx: click.Context, config: Config) -> Config:
    """The config to go on with: a new one if the user wants the keyring. Raises KeySourceError, ConfigError."""
    from hublet.config.loading import find_config, load_config, usual_config
    from hublet.core.errors import HubletError
    from hublet.store.unlocking import peek

    if config.keys.source != "file" or not _may_answer():
        return config
    try:
        header = peek(config.locate().data)
    except HubletError:
        return config  # there is a cache, which can't be read; whoever opens it reports that
    if header is not None and header.source != "file":
        return config
    from hublet.keys.keyring import KeyringSource

    if not KeyringSource.answers():
        return config
    file = find_config(ctx.find_root().obj, os.environ)
    if header is not None:
        _hint("The key of the cache is in a file. Your keyring can keep it: `hublet keys move keyring`.")
    elif not sys.stdin.isatty() or not sys.stderr.isatty():
        _hint("Your keyring could keep the cache's key: `hublet keys move keyring`.")
    elif file is not None:
        _hint(f"Your keyring could keep the cache's key: `keys.source: keyring` in {file}, before this, chooses it;")
        _hint("`hublet keys move keyring` does it later.")
    elif click.confirm("Seal the cache with a key in your session's keyring?", default=True, err=True):
        _write(usual_config())
        _hint(f"{usual_config()} says so from now on.")
        return load_config(usual_config())
    return config


def _may_answer() -> bool:
    """Whether there can be a keyring at all, found out without asking it."""
    from importlib.util import find_spec

    if find_spec("keyring") is None:
        return False
    bus = os.environ.get("DBUS_SESSION_BUS_ADDRESS")
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return sys.platform != "linux" or bool(bus) or bool(runtime and Path(runtime, "bus").exists())


def _hint(line: str) -> None:
    from hublet.cli.printing import printable

    click.echo(printable(line), err=True)


def _write(path: Path) -> None:
    """Write a new config file; one that has appeared meanwhile is not overwritten. Raises ConfigError."""
    from hublet.core.errors import ConfigError

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, 0o600)
            file.write(_TEXT)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise ConfigError((f"{path}: can't be written: {error.strerror}",)) from error
