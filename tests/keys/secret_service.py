"""A real Secret Service for tests: gnome-keyring in a D-Bus session and a home of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.running import missing

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


@dataclass
class SecretService:
    """`environment` is what a program needs to reach it."""

    environment: Mapping[str, str]

    def lock(self) -> None:
        """Lock the collection that holds everything, as a screen lock or the keyring's own program would."""
        import secretstorage
        from jeepney.io.blocking import open_dbus_connection

        connection = open_dbus_connection(bus=self.environment["DBUS_SESSION_BUS_ADDRESS"])
        try:
            secretstorage.get_default_collection(connection).lock()
        finally:
            connection.close()

    def labels(self) -> list[str]:
        """What it holds, by name."""
        import secretstorage
        from jeepney.io.blocking import open_dbus_connection

        connection = open_dbus_connection(bus=self.environment["DBUS_SESSION_BUS_ADDRESS"])
        try:
            items = secretstorage.get_default_collection(connection).get_all_items()
            return sorted(item.get_label() for item in items)
        finally:
            connection.close()


@contextmanager
def secret_service(home: Path) -> Iterator[SecretService]:
    """Unlocked, and empty but for its own collection."""
    (home / "run").mkdir(parents=True, mode=0o700)
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "XDG_DATA_HOME": str(home / "share"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_RUNTIME_DIR": str(home / "run"),
    }
    words = ["dbus-run-session", "--", "sh", "-c", _SCRIPT, "sh", password]
    process = subprocess.Popen(
        words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        service = SecretService(environment | {"DBUS_SESSION_BUS_ADDRESS": process.stdout.readline().strip()})
        yield service
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
