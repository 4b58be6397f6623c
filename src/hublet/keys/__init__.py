"""Where the key-encryption key (KEK) comes from: one module for each source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hublet.keys.asking import Asker
    from hublet.keys.source import KeySource

source_names = ("file", "keyring", "passphrase", "credential")


def source_of(
    name: str,
    key_file: Path,
    *,
    parameters: Mapping[str, str] | None = None,
    asker: Asker | None = None,
    quiet: bool = False,
) -> KeySource:
    """The key source with this name, which comes from `keys.source` or from a store's header. Opens nothing yet. Raises
    ValueError for another name than those in `source_names`.

    `key_file` is where the source `file` keeps its key. `parameters` are those in the store's header; None for a store
    or a key that is to be made. `asker` gives the passphrase. With `quiet` nobody is asked to unlock a keyring.
    """
    if name == "file":
        from hublet.keys.file import FileSource

        return FileSource(key_file)
    if name == "keyring":
        from hublet.keys.keyring import KeyringSource

        return KeyringSource(parameters, quiet=quiet)
    if name == "passphrase":
        from hublet.keys.asking import Asker
        from hublet.keys.passphrase import PassphraseSource

        return PassphraseSource(asker or Asker(), parameters)
    if name == "credential":
        from hublet.keys.credential import CredentialSource

        return CredentialSource()
    raise ValueError(f"no key source is called {name}")
