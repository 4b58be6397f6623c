"""Which key source opens a store, by the config and by what the store's header says; and opening it with that one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hublet.config.loading import Config
from hublet.keys import source_names, source_of
from hublet.keys.asking import Asker
from hublet.keys.source import KeySource
from hublet.store.archive import Archive
from hublet.store.sealed import Store
from hublet.store.unlocking import peek


class Sealed(Protocol):
    """What a store says of its key source: its name, None when that can't be read, and the source's parameters."""

    @property
    def source(self) -> str | None: ...

    @property
    def parameters(self) -> Mapping[str, str]: ...


def open_archive(config: Config, asker: Asker, *, quiet: bool = False) -> Archive:
    """Open the store with the configured key source; a store and a key are made when there are none.

    With `quiet` nobody is asked to unlock a keyring. Raises StoreError, KeySourceError.
    """
    data = config.locate().data
    return Archive(Store.open(data, configured_source(config, peek(data), asker=asker, quiet=quiet)))


def configured_source(
    config: Config, sealed: Sealed | None, *, asker: Asker | None = None, quiet: bool = False
) -> KeySource:
    """The source of `keys.source`, with the parameters in the store's header where that names the same source.

    Otherwise it is set up as for a new key: opening a store of another source (store/unlocking.py) then refuses it.
    """
    return _set_up(config, config.keys.source, sealed, asker, quiet=quiet)


def named_source(config: Config, sealed: Sealed | None, *, asker: Asker | None = None) -> KeySource:
    """The source that the store's header names, whatever the config says.

    It is the configured one where there is no store, or where the header names none that this hublet knows: it is
    damaged, or a newer hublet wrote it.
    """
    name = sealed.source if sealed is not None and sealed.source in source_names else None
    return _set_up(config, name or config.keys.source, sealed, asker)


def _set_up(config: Config, name: str, sealed: Sealed | None, asker: Asker | None, *, quiet: bool = False) -> KeySource:
    parameters = sealed.parameters if sealed is not None and sealed.source == name else None
    return source_of(name, config.locate().key_file, parameters=parameters, asker=asker, quiet=quiet)
