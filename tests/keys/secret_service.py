"""A real Secret Service for tests: gnome-keyring in a D-Bus session and a home of its own, of any user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.running import as_user, missing

password = "canary-of-the-keyring's-own-password"
# Daemonized it is ready when the shell goes on; asked before that, D-Bus would start another one, which is locked.
_SCRIPT = """
printf %s "$1" | gnome-keyring-daemon --unlock --components=secrets --daemonize >/dev/null
echo "$DBUS_SESSION_BUS_ADDRESS"
cat
"""


def why_not() -> str:
    """Why there can't be one here; empty when there can."""
    try:
        import secretstorage  # noqa: F401  comes with the package keyring on Linux
    except ImportError:
        return "not installed: the Python package keyring"
    return missing("dbus-run-session", "gnome-keyring-daemon")


_ASK = """
import json, os, secretstorage
from jeepney.io.blocking import open_dbus_connection
connection = open_dbus_connection(bus=os.environ["DBUS_SESSION_BUS_ADDRESS"])
collection = secretstorage.get_default_collection(connection)
{what}
print(json.dumps(found))
"""
# What its own prompt does once somebody has typed the password.
_UNLOCK = """
from jeepney import DBusAddress, new_method_call
name = "org.freedesktop.secrets"
service = DBusAddress("/org/freedesktop/secrets", name, "org.freedesktop.Secret.Service")
opened = connection.send_and_get_reply(new_method_call(service, "OpenSession", "sv", ("plain", ("s", ""))))
inside = DBusAddress(service.object_path, name, "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface")
secret = (opened.body[1], b"", {password!r}.encode(), "text/plain")
unlocking = new_method_call(inside, "UnlockWithMasterPassword", "o(oayays)", (collection.collection_path, secret))
connection.send_and_get_reply(unlocking, timeout=20)
collection = secretstorage.get_default_collection(connection)
assert not collection.is_locked()
found = None
"""


@dataclass
class SecretService:
    """`environment` is what a program needs to reach it."""

    environment: Mapping[str, str]
    uid: int | None = None

    def is_locked(self) -> bool:
        """Whether the collection that holds everything is locked."""
        return bool(json.loads(self._do("found = collection.is_locked()")))

    def lock(self) -> None:
        """Lock the collection that holds everything, as a screen lock or the keyring's own program would."""
        self._do("collection.lock(); found = None")

    def unlock(self) -> None:
        """Unlock it, as the login or the keyring's own program would."""
        self._do(_UNLOCK.format(password=password))

    def labels(self) -> list[str]:
        """What it holds, by name."""
        return list(json.loads(self._do("found = sorted(item.get_label() for item in collection.get_all_items())")))

    def _user(self) -> list[str]:
        return as_user(self.uid) if self.uid is not None else []

    def _do(self, what: str) -> str:
        """A bus lets its own user in, nobody else."""
        words = [*self._user(), sys.executable, "-c", _ASK.format(what=what)]
        return subprocess.run(words, env=self.environment, check=True, capture_output=True, text=True, cwd="/").stdout


@contextmanager
def secret_service(home: Path, uid: int | None = None) -> Iterator[SecretService]:
    """Unlocked, and empty but for its own collection; of another user with `uid`."""
    (home / "run").mkdir(parents=True, mode=0o700)
    if uid is not None and os.getuid() == 0:
        for place in (home, home / "run"):
            os.chown(place, uid, uid)
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "XDG_DATA_HOME": str(home / "share"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_RUNTIME_DIR": str(home / "run"),
    }
    user = as_user(uid) if uid is not None else []
    words = [*user, "dbus-run-session", "--", "sh", "-c", _SCRIPT, "sh", password]
    process = subprocess.Popen(
        words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        service = SecretService(environment | {"DBUS_SESSION_BUS_ADDRESS": address}, uid)
        if service.is_locked():  # on a busy machine it may be asked before it has taken the password
            service.unlock()
        yield service
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
