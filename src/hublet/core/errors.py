"""Every error that hublet reports, with its exit code.

    HubletError                 1   the base; never raised itself
    ├── ConfigError             2   a config file that can't be used: all problems at once
    ├── UsageError              2   a command called in a way that can't work
    ├── StoreError              3   the store can't be opened or written
    │   ├── StoreLocked         4   another hublet holds the store
    │   ├── StoreCorrupt        5   a byte was changed: an authentication tag does not fit
    │   └── StoreFormat         6   written by a newer hublet, or not a store at all
    ├── KeySourceError          7   the configured key source has no usable key
    ├── PortTaken               8   somebody else listens on the port
    ├── NotRunning              9   the command needs a running daemon
    ├── AdminError             10   the daemon answered an admin request with an error
    ├── CredentialError        11   no Hub key is stored, or the given one can't be used
    ├── SyncFailed             12   a pass brought nothing back
    ├── DemoFailed             13   the demo's own checks did not hold
    ├── NoServiceManager       14   no service manager of this user answers
    ├── ServiceError           15   the service manager refused, or a unit could not be written
    └── MissingExtra           16   an optional part is not installed

An error is one clear sentence and, where the user can do something, a hint that says what. Neither ever has a secret in
it.
"""

from __future__ import annotations

from typing import ClassVar


class HubletError(Exception):
    """One sentence for the user, a hint, and the exit code of a command that fails with it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(HubletError):
    """All problems of one config file; each is a line `FILE:LINE: key: what is wrong`."""

    exit_code = 2

    def __init__(self, problems: tuple[str, ...], *, hint: str = "") -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = problems


class UsageError(HubletError):
    exit_code = 2


class StoreError(HubletError):
    exit_code = 3


class StoreLocked(StoreError):
    exit_code = 4


class StoreCorrupt(StoreError):
    exit_code = 5


class StoreFormat(StoreError):
    exit_code = 6


class KeySourceError(HubletError):
    exit_code = 7


class PortTaken(HubletError):
    exit_code = 8


class NotRunning(HubletError):
    exit_code = 9


class AdminError(HubletError):
    """An error that the daemon answered to a command, with the exit code of the error that the daemon met."""

    exit_code = 10

    def __init__(self, message: str, *, hint: str = "", exit_code: int = 10) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code  # type: ignore[misc]  # the one class whose instances differ


class CredentialError(HubletError):
    exit_code = 11


class SyncFailed(HubletError):
    exit_code = 12


class DemoFailed(HubletError):
    exit_code = 13


class NoServiceManager(HubletError):
    exit_code = 14


class ServiceError(HubletError):
    exit_code = 15


class MissingExtra(HubletError):
    exit_code = 16
