"""One call of the `keyring` package: an order on standard input, an answer on standard output, each one JSON object.

    {"do": "get" | "set" | "promote" | "discard" | "left" | "probe",
     "account": ..., "next": ..., "count": ..., "value": ..., "quiet": ...}
        → {"value": ..., "count": ...} or {"trouble": ..., "detail": ...}

With "quiet" nobody is asked to unlock the keyring: a locked one is answered as the trouble "locked".

Only backends that are known to keep secrets are used. `detail` is the name of a class, never an error's text: a
backend's text could quote the secret that it was given.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

_service = "hublet"
_package = "keyring.backends"
_trusted = frozenset(f"{_package}.{name}" for name in ("SecretService", "libsecret", "kwallet", "macOS", "Windows"))
_none = frozenset(f"{_package}.{name}" for name in ("fail", "null"))


class _Trouble(Exception):
    def __init__(self, trouble: str, detail: str = "") -> None:
        super().__init__(trouble)
        self.answer = {"trouble": trouble, "detail": detail}


def _backend() -> KeyringBackend:
    """The backend that the package is set up to use. Raises _Trouble when it is not one that keeps secrets."""
    try:
        import keyring
        from keyring.backends.chainer import ChainerBackend
    except ImportError:
        raise _Trouble("not-installed") from None
    chosen = keyring.get_keyring()
    # A chain reads from each backend in turn and writes to the first that can: it is only as good as its worst one.
    members = list(chosen.backends) if isinstance(chosen, ChainerBackend) else [chosen]
    for member in members:
        module = type(member).__module__
        if module in _none:
            raise _Trouble("no-backend")
        if module not in _trusted:
            raise _Trouble("unsafe", f"{module}.{type(member).__name__}"[:100])
    if not members:
        raise _Trouble("no-backend")
    return members[0]


def _refuse_locked(backend: KeyringBackend) -> None:
    """Raises _Trouble when the Secret Service's collection is locked or missing: the package itself would ask a person
    to unlock or to make it."""
    if type(backend).__module__ != f"{_package}.SecretService":
        return
    import secretstorage

    chosen = getattr(backend, "preferred_collection", None)
    with closing(secretstorage.dbus_init()) as connection:
        try:
            collection = (
                secretstorage.Collection(connection, chosen)
                if chosen
                else secretstorage.collection.get_collection_by_alias(connection, "default")
            )
        except secretstorage.exceptions.ItemNotFoundException:
            raise _Trouble("locked") from None
        if collection.is_locked():
            raise _Trouble("locked")


def _carry_out(order: dict[str, Any]) -> dict[str, str | None]:
    backend = _backend()
    from keyring import errors

    account, following, counted = order["account"], order["next"], order["count"]
    try:
        if order["quiet"]:
            _refuse_locked(backend)
        match order["do"]:
            case "get":
                value = backend.get_password(_service, account)
                return {"value": value, "count": backend.get_password(_service, counted)}
            case "left":
                entries = (account, following, counted)
                left = any(backend.get_password(_service, entry) is not None for entry in entries)
                return {"value": "yes" if left else None}
            case "set":
                _set(backend, account, order["value"])
            case "promote":
                # If we are ended between the two calls, both entries hold the same key.
                value = backend.get_password(_service, following)
                if value is not None:
                    _set(backend, account, value)
                    _delete(backend, following)
            case "discard":
                for entry in (account, following, counted):
                    _delete(backend, entry)
        return {}
    except _Trouble:
        raise
    except errors.NoKeyringError:
        raise _Trouble("no-backend") from None
    except (errors.KeyringLocked, errors.InitError):
        # InitError: there is no collection, and the prompt that would make one was not answered.
        raise _Trouble("locked") from None
    except Exception as error:  # noqa: BLE001  backends have errors of their own, and their text must not get out
        raise _Trouble("refused", type(error).__name__) from None


def _set(backend: KeyringBackend, account: str, value: str) -> None:
    backend.set_password(_service, account, value)
    # Read back, because some backends answer before they have kept it.
    if backend.get_password(_service, account) != value:
        raise _Trouble("not-kept")


def _delete(backend: KeyringBackend, account: str) -> None:
    if backend.get_password(_service, account) is not None:
        backend.delete_password(_service, account)


def main() -> None:
    try:
        answer = _carry_out(json.load(sys.stdin))
    except _Trouble as trouble:
        answer = dict(trouble.answer)
    json.dump(answer, sys.stdout)
