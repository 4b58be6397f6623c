"""The source `keyring`: the key lies in the desktop's own keyring, which is unlocked with the user's session.

That is the Secret Service (gnome-keyring, KWallet, KeePassXC) on Linux, the Keychain on macOS and the Credential Locker
on Windows, used through the `keyring` package. The package runs in a child process, which can be ended when nobody
answers an unlock prompt, and whose imports do not stay in the daemon.

    service "hublet", account ID          the key in force, hex; ID is random, and a parameter in the store's header
    service "hublet", account ID.next     the staged key
    service "hublet", account ID.count    the number of the store's last commit (counts.py)

A person is asked to unlock the keyring when a command or the start of the daemon needs the key. What the daemon does by
itself is `quiet`: a locked keyring is an error at once, where it can be found out to be locked (the Secret Service).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from hublet.core.envelope import Key, key_size
from hublet.core.errors import KeySourceError
from hublet.keys import counts

patience = 60.0
"""How many seconds a person has to answer the prompt that unlocks the keyring."""
_quiet_patience = 10.0
_counting = 60.0
"""Seconds between two counts, since each takes a process of its own."""

_KEPT = (
    "APPDATA", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "HOME", "LANG", "LOCALAPPDATA", "LOGNAME", "PATH",
    "PYTHON_KEYRING_BACKEND", "SYSTEMROOT", "USER", "USERPROFILE", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_CONFIG_HOME",
    "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
)  # fmt: skip
_elsewhere = "unlock it, or move the key elsewhere while hublet runs: `hublet keys move file`"
_TROUBLES = {
    "not-installed": ("the Python package keyring is not installed", "pip install 'hublet[keyring]'"),
    "no-backend": (
        "there is no keyring in this session",
        "hublet needs the session's D-Bus and a Secret Service (gnome-keyring, KWallet, KeePassXC)",
    ),
    "unsafe": (
        "the keyring package is set up to use {detail}, which does not keep secrets",
        "see `keyring --list-backends`; keyringrc.cfg or PYTHON_KEYRING_BACKEND chooses one",
    ),
    "locked": ("the keyring is locked, and nobody unlocked it", _elsewhere),
    "not-kept": ("the keyring did not keep the key", _elsewhere),
    "refused": ("the keyring refused ({detail})", _elsewhere),
}


class KeyringSource:
    """`parameters` are those in the store's header, empty or None for a store that is to be made."""

    name = "keyring"

    def __init__(
        self, parameters: Mapping[str, str] | None = None, *, limit: float = patience, quiet: bool = False
    ) -> None:
        self._account = (parameters or {}).get("account") or f"cache-{os.urandom(8).hex()}"
        self._limit, self._quiet = min(limit, _quiet_patience) if quiet else limit, quiet
        self._counted: dict[bytes, int] | None = None  # read together with the key, in the same process

    def __repr__(self) -> str:
        return f"KeyringSource({self._account!r})"

    @property
    def parameters(self) -> Mapping[str, str]:
        return {"account": self._account}

    def describe(self) -> str:
        return f"the keyring's entry hublet, {self._account}"

    def load(self) -> Key | None:
        return self._get(self._account)

    def create(self, kek: Key) -> None:
        if self._get(self._account) is not None:
            raise KeySourceError("there is a key in the keyring already", hint="remove that entry first")
        self._set(self._account, kek)

    def successor(self) -> KeyringSource:
        return self

    def stage(self, kek: Key) -> Key:
        self._set(self._next, kek)
        return kek

    def staged(self) -> Key | None:
        return self._get(self._next)

    def promote(self) -> None:
        self._ask("promote", self._account)

    def discard(self) -> None:
        self._ask("discard", self._account)

    @property
    def counting(self) -> float:
        return _counting

    def generation(self, store: bytes) -> int | None:
        if self._counted is None:
            self.load()
        return (self._counted or {}).get(store)

    def count(self, store: bytes, generation: int) -> None:
        counted = counts.having({}, store, generation).strip()
        self._ask("set", self._count, counted, quiet=True)
        self._counted = counts.read(counted)

    def left(self) -> bool:
        """Whether the keyring has any entry of this account. Nobody is asked to unlock it. Raises KeySourceError."""
        return self._ask("left", self._account, quiet=True).get("value") is not None

    @classmethod
    def answers(cls) -> bool:
        """Whether there is a keyring that could keep a key now. Nobody is asked to unlock it."""
        try:
            cls(quiet=True)._ask("probe", "")
        except KeySourceError:
            return False
        return True

    @property
    def _next(self) -> str:
        return f"{self._account}.next"

    @property
    def _count(self) -> str:
        return f"{self._account}.count"

    def _get(self, account: str) -> Key | None:
        answer = self._ask("get", account)
        found = answer.get("value")
        self._counted = counts.read(answer.get("count") or "")
        if found is None:
            return None
        try:
            value = bytes.fromhex(found)
        except ValueError:
            value = b""
        if len(value) != key_size:
            raise KeySourceError(
                f"the keyring's entry hublet, {account} is not a key",
                hint="put the right one back; without it the cache can't be opened",
            )
        return Key(value)

    def _set(self, account: str, kek: Key) -> None:
        self._ask("set", account, kek.reveal().hex())

    def _ask(self, verb: str, account: str, value: str | None = None, *, quiet: bool = False) -> dict[str, str | None]:
        """One call of the keyring package, in a child process. The key goes through pipes, never through arguments.
        Raises KeySourceError."""
        quiet = quiet or self._quiet
        entries = {"account": account, "next": self._next, "count": self._count}
        order = json.dumps({"do": verb, **entries, "value": value, "quiet": quiet}).encode()
        limit = min(self._limit, _quiet_patience) if quiet else self._limit
        # Errors are raised further down, outside of the handlers: a chained JSON error would hold the keyring's answer.
        answer = None
        message, hint = "the keyring can't be asked", "see `python -m keyring diagnose`"
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "hublet.keyring_worker"],
                input=order,
                capture_output=True,
                timeout=limit,
                env={name: text for name, text in os.environ.items() if name in _KEPT},
                check=False,
            )
            answer = json.loads(done.stdout)
        except subprocess.TimeoutExpired:
            message = f"the keyring did not answer within {limit:.0f} s: it may wait for somebody to unlock it"
            hint = "answer its prompt, and try again"
        except (OSError, ValueError):
            pass
        if not isinstance(answer, dict):
            raise KeySourceError(message, hint=hint)
        trouble = answer.get("trouble")
        if trouble is not None:
            message, hint = _TROUBLES.get(trouble, _TROUBLES["refused"])
            raise KeySourceError(message.format(detail=answer.get("detail")), hint=hint)
        return {name: text for name, text in answer.items() if isinstance(text, str)}
