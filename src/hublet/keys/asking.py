"""Where a passphrase comes from: given by a command, a private file, a file descriptor, or a person at the terminal.

Never an argument and never an environment variable: other programs of the same machine can read those.
"""

from __future__ import annotations

import os
from pathlib import Path

from hublet.core.errors import KeySourceError
from hublet.core.secretstr import SecretStr
from hublet.keys.private import read_private
from hublet.keys.source import OutOfReach

_most = 4096
least_letters = 12
_no_terminal = "set keys.passphrase_file or keys.passphrase_fd, or start hublet at a terminal"


class Asker:
    """Gets the passphrase from where it was told to. A descriptor can be read only once, so what it gave is kept until
    `forget`."""

    def __init__(
        self,
        *,
        file: Path | None = None,
        descriptor: int | None = None,
        given: SecretStr | None = None,
        terminal: bool = True,
        what: str = "the cache",
    ) -> None:
        """`what` says for the person who is asked what the passphrase is for."""
        self._what = what
        self._file, self._descriptor, self._given, self._terminal = file, descriptor, given, terminal
        self._read: SecretStr | None = None

    def __repr__(self) -> str:
        return "Asker()"

    def giving(self, passphrase: SecretStr | None) -> Asker:
        """Another Asker that gives `passphrase`, or without one reads the same file. It never asks at a terminal."""
        return Asker(file=self._file, given=passphrase, terminal=False)

    def ask(self, *, new: bool = False) -> SecretStr:
        """The passphrase. For a `new` one a person is asked twice. Raises KeySourceError."""
        if self._given is not None:
            said = self._given
        elif self._file is not None and self._descriptor is not None:
            raise KeySourceError("keys.passphrase_file and keys.passphrase_fd are both set", hint="leave one of them")
        elif self._file is not None:
            said = _from_file(self._file)
        elif self._descriptor is not None:
            said = self._read = self._read or _from_descriptor(self._descriptor)
        else:
            said = self._from_terminal(new)
        if not said:
            raise KeySourceError("the passphrase is empty", hint="see where it is read from")
        if new and len(said.reveal()) < least_letters:
            raise KeySourceError(
                f"a new passphrase needs at least {least_letters} characters", hint="a few random words are a good one"
            )
        return said

    def forget(self) -> None:
        """Called once the store is open: drop the passphrase that a descriptor gave, and never ask at the terminal
        again."""
        self._read, self._terminal = None, False

    def _from_terminal(self, new: bool) -> SecretStr:
        if not self._terminal or not _at_terminal():
            raise OutOfReach("the passphrase is needed, and there is no terminal to ask at", hint=_no_terminal)
        from getpass import getpass

        said = getpass(f"New passphrase for {self._what}: " if new else f"Passphrase of {self._what}: ")
        if new and getpass("The same again: ") != said:
            raise KeySourceError("the two passphrases are not the same", hint="try again")
        return SecretStr(said)


def _at_terminal() -> bool:
    """Whether this process has a terminal and is in its foreground. In the background, reading would stop the
    process."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _from_file(path: Path) -> SecretStr:
    value = read_private(path, _most, what="the passphrase file", setting="keys.passphrase_file")
    if value is None:
        raise KeySourceError(
            f"the passphrase file {path} is not there", hint="keys.passphrase_file names it; make it with mode 600"
        )
    return _text(value)


def _from_descriptor(descriptor: int) -> SecretStr:
    """Read a descriptor to its end and close it, so that no child inherits it. Raises KeySourceError."""
    value = b""
    try:
        while len(value) <= _most and (part := os.read(descriptor, _most + 1 - len(value))):
            value += part
        os.close(descriptor)
    except OSError as error:
        raise KeySourceError(
            f"the passphrase can't be read from descriptor {descriptor}: {error.strerror}",
            hint="keys.passphrase_fd is open only in a program that was started with it, and can be read once",
        ) from error
    return _text(value)


def _text(value: bytes) -> SecretStr:
    """Without the newline that an editor or `echo` puts at the end."""
    if len(value) > _most:
        raise KeySourceError(f"the passphrase is longer than {_most} bytes")
    try:
        return SecretStr(value.decode().removesuffix("\n").removesuffix("\r"))
    except UnicodeDecodeError:
        raise KeySourceError("the passphrase is not UTF-8") from None
