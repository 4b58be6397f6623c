"""The source `credential`: the service manager hands the key over in the file `$CREDENTIALS_DIRECTORY/hublet-key`.

systemd puts it there for LoadCredential, LoadCredentialEncrypted and SetCredential, in memory and for the unit alone.
With LoadCredentialEncrypted the file on the disk is sealed to the machine's TPM or with a key of root's, so a copy of
the home is not enough to open the cache. The key is the administrator's: hublet never makes, replaces or removes it.
"""

from __future__ import annotations

import os
import stat
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path

from hublet.core.envelope import Key, key_size
from hublet.core.errors import KeySourceError
from hublet.keys.source import OutOfReach

credential_name = "hublet-key"
_most = 256
how_to_make = (
    f"head -c {key_size} /dev/urandom > FILE makes one; LoadCredential={credential_name}:FILE in the unit hands it over"
)


class CredentialSource:
    name = "credential"

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment

    def __repr__(self) -> str:
        return "CredentialSource()"

    @property
    def parameters(self) -> Mapping[str, str]:
        return {}

    def describe(self) -> str:
        return f"the service manager's credential {credential_name}"

    def load(self) -> Key:
        """The key. Never None: a missing credential is a mistake in the unit. Raises KeySourceError."""
        directory = self._environment.get("CREDENTIALS_DIRECTORY", "")
        if not directory.startswith("/"):
            raise OutOfReach(
                "the service manager gives no credentials: CREDENTIALS_DIRECTORY is not set",
                hint=f"start hublet as a unit with LoadCredential={credential_name}:FILE; a shell has no credentials",
            )
        path = Path(directory, credential_name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise KeySourceError(f"the credential {path} is not a regular file", hint=how_to_make)
                value = file.read(_most + 1)
        except FileNotFoundError:
            raise KeySourceError(
                f"the service manager gives no credential {credential_name}", hint=how_to_make
            ) from None
        except OSError as error:
            raise KeySourceError(f"the credential {path} can't be read: {error.strerror}", hint=how_to_make) from error
        return _key_in(value)

    def create(self, kek: Key) -> None:  # noqa: ARG002  the contract has it
        raise KeySourceError("hublet can't make a credential: the service manager hands it over", hint=how_to_make)

    def successor(self) -> CredentialSource:
        return self

    def stage(self, kek: Key) -> Key:  # noqa: ARG002
        """Keep nothing, and return the credential: only the administrator can change it."""
        return self.load()

    def staged(self) -> None:
        return None

    def promote(self) -> None:
        pass

    def discard(self) -> None:
        pass

    @property
    def counting(self) -> None:
        return None  # the service manager hands it over read-only

    def generation(self, store: bytes) -> None:  # noqa: ARG002
        return None

    def count(self, store: bytes, generation: int) -> None:
        pass


def _key_in(value: bytes) -> Key:
    """The key in 32 raw bytes, or in their hex or base64 text. The length tells which. Raises KeySourceError."""
    if len(value) == key_size:
        return Key(value)
    try:
        text = value.decode("ascii").strip()
        decoded = bytes.fromhex(text) if len(text) == 2 * key_size else b64decode(text, validate=True)
        if len(decoded) == key_size:
            return Key(decoded)
    except ValueError:
        pass  # the error below does not quote the bytes, as these could
    raise KeySourceError(
        f"the credential {credential_name} is not a key: {key_size} bytes, or the same as hex or base64 text",
        hint=how_to_make,
    )
