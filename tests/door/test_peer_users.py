"""Other users and containers for real: a server and its clients under throwaway uids, a client in its own cgroup."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from hublet.door import peer
from hublet.door.peer import Peers, Verdict

linux = pytest.mark.skipif(sys.platform != "linux", reason="SOCK_DIAG is Linux's")
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to become other users")
pytestmark = [linux, as_root]
uid, stranger = 45_871, 45_872

server_code = """
import socket, sys
from hublet.door.peer import Peers, token_required_because
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], token_required_because(), flush=True)
peers = Peers()
for line in sys.stdin:
    ours, _ = server.accept()
    if line.strip() == "wait":
        ours.recv(100)
        import time; time.sleep(0.3)
    print(peers.same_user(ours).value, flush=True)
    ours.close()
server.close()
peers.close()
"""


def as_user(user: int, code: str, *args: str) -> subprocess.Popen[str]:
    """A Python child as this numeric user. It may read our files, which is no right over other users' sockets."""
    rights = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    drop = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *rights)
    command = [*drop, sys.executable, "-W", "error", "-c", code, *args]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_another_user_of_the_machine_is_refused_and_the_same_user_is_not() -> None:
    """Daemon and clients without any rights of root's; root itself is another user too."""
    connect = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.recv(1)"
    flee = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.send(b'GET')"
    with as_user(uid, server_code) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port, _, reason = server.stdout.readline().strip().partition(" ")
        assert reason == "None"
        for user, code, order, verdict in (
            (uid, connect, "ask", "same-user"),
            (stranger, connect, "ask", "other-user"),
            (0, connect, "ask", "other-user"),
            (uid, flee, "wait", "gone"),
            (stranger, flee, "wait", "gone"),
        ):
            with as_user(user, code, port) as client:
                server.stdin.write(f"{order}\n")
                server.stdin.flush()
                assert server.stdout.readline().strip() == verdict
                client.communicate(timeout=20)
        server.communicate(timeout=20)
        assert server.returncode == 0


def test_a_user_who_takes_over_the_port_of_a_client_is_refused() -> None:
    """The same port, first the same user's, then a stranger's."""
    bound = (
        "import socket, sys; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "s.bind(('127.0.0.1', int(sys.argv[2]))); s.connect(('127.0.0.1', int(sys.argv[1]))); s.recv(1)\n"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        own_port = str(probe.getsockname()[1])
    with as_user(uid, server_code) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port = server.stdout.readline().split()[0]
        with as_user(stranger, bound, port, own_port) as client:
            server.stdin.write("ask\n")
            server.stdin.flush()
            assert server.stdout.readline().strip() == "other-user"
            client.communicate(timeout=20)
        server.communicate(timeout=20)


def test_a_client_in_a_real_containers_cgroup_is_refused() -> None:
    """The same user, moved to a cgroup with a container's name."""
    mount = peer._cgroup2_mount()
    if mount is None or not os.access(mount, os.W_OK):
        pytest.skip("no writable cgroup2 here")
    directory = mount / f"docker-hublet-test-{os.getpid()}.scope"
    try:
        directory.mkdir()
    except OSError:
        pytest.skip("no cgroup can be made here")
    code = (
        "import socket, sys, pathlib\n"
        "pathlib.Path(sys.argv[2], 'cgroup.procs').write_text('0')\n"
        "s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.recv(1)\n"
    )
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = str(server.getsockname()[1])
            peers = Peers()
            with subprocess.Popen([sys.executable, "-c", code, port, str(directory)]) as child:
                server.settimeout(20)
                ours, _ = server.accept()
                with ours:
                    assert peers.same_user(ours) is Verdict.CONTAINER
                child.wait(20)
            peers.close()
    finally:
        directory.rmdir()
