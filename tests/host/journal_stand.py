"""A stand-in for journald in a user manager's view of the file system: both of its sockets. It keeps what comes in a
file, one entry a line.

systemd connects standard error to the stream socket, and only then does hublet send its entries to the other one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.host.test_journal import decode
from tests.user_systemd import UserManager

_STAND = """
import os, selectors, socket, sys, threading
os.makedirs("/run/systemd/journal", exist_ok=True)
places = {}
for name, kind in (("socket", socket.SOCK_DGRAM), ("stdout", socket.SOCK_STREAM)):
    path = "/run/systemd/journal/" + name
    places[name] = sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(path)
    os.chmod(path, 0o666)
places["stdout"].listen(16)
os.chmod("/run/systemd/journal", 0o755)
open(sys.argv[1], "wb").close()


def entries():
    with open(sys.argv[1], "ab", buffering=0) as out:
        while True:
            data, descriptors, _, _ = socket.recv_fds(places["socket"], 1 << 20, 1)
            for descriptor in descriptors:
                with os.fdopen(descriptor, "rb") as file:
                    file.seek(0)
                    data = file.read()
            out.write(data.hex().encode() + b"\\n")


def streams(kept=[]):
    while True:
        kept.append(places["stdout"].accept()[0])


for work in (entries, streams):
    threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
for name in places:
    os.unlink("/run/systemd/journal/" + name)
"""


@dataclass
class StandIn:
    file: Path

    def entries(self) -> list[dict[str, str]]:
        """The entries that have come so far, with their values as text."""
        lines = self.file.read_text().splitlines()
        return [{name: value.decode() for name, value in decode(bytes.fromhex(line)).items()} for line in lines]


@contextmanager
def journal_of(manager: UserManager) -> Iterator[StandIn]:
    """Within this context, units of this manager can log to the journal."""
    file = manager.home / "journal"
    words = ["nsenter", f"--mount=/proc/{manager.holder}/ns/mnt", "--", sys.executable, "-c", _STAND, str(file)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield StandIn(file)
        finally:
            process.communicate(b"", timeout=10)
            file.unlink(missing_ok=True)
