"""A daemon in a user namespace that knows its own uid alone, as systemd's PrivateUsers makes one: who its peers are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.running import python_of_all, without_rights

from hublet.door import peer

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="SOCK_DIAG is Linux's"),
    pytest.mark.skipif(os.getuid() != 0, reason="needs root to become other users"),
]
uid, stranger = 45_873, 45_874

# The module itself goes along as text, with Python's own data classes: in the namespace nobody has a right to read
# root's files.
SERVER = (
    Path(peer.__file__).read_text().replace("from hublet.core.values import", "from dataclasses import")
    + """
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], os.getuid(), token_required_because(), flush=True)
peers = Peers()
for line in sys.stdin:
    ours, _ = server.accept()
    print(peers.same_user(ours).value, peers.peer_uid(ours), flush=True)
    ours.close()
server.close()
peers.close()
"""
)
CONNECT = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.recv(1)"


def test_in_a_user_namespace_its_own_user_is_right_and_all_others_are_one_stranger() -> None:
    """They show as the overflow uid, which is not ours; and where that were ours, a token would be needed."""
    python = python_of_all()
    assert python
    words = [*without_rights(uid), "unshare", "--user", "--map-current-user", python, "-I", "-c", SERVER]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/"
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stderr is not None
        first = server.stdout.readline()
        assert first, server.stderr.read()
        port, inside, reason = first.strip().split(" ", 2)
        assert (inside, reason) == (str(uid), "None")
        overflow = Path("/proc/sys/kernel/overflowuid").read_text().strip()
        for user, expected in (
            (uid, f"same-user {uid}"),
            (stranger, f"other-user {overflow}"),
            (0, f"other-user {overflow}"),
        ):
            client = subprocess.Popen([*without_rights(user), python, "-I", "-c", CONNECT, port], cwd="/")
            server.stdin.write("ask\n")
            server.stdin.flush()
            assert server.stdout.readline().strip() == expected
            assert client.wait(20) == 0
        server.communicate(timeout=20)
        assert server.returncode == 0
