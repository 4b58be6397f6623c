"""Sockets: both families or neither, who holds a taken port, private Unix sockets, sockets handed over."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hublet.core.errors import ConfigError, PortTaken
from hublet.door import binding
from hublet.door.binding import adopt_loopback, bind_loopback, bind_unix
from hublet.door.holders import holders_of


def closed(*sockets: socket.socket) -> None:
    for sock in sockets:
        sock.close()


def test_both_families_listen_on_the_same_port() -> None:
    """And on no other address; neither port can be shared."""
    v4, v6 = bind_loopback(0)
    try:
        port = v4.getsockname()[1]
        assert v4.getsockname() == ("127.0.0.1", port)
        assert v6.getsockname()[:2] == ("::1", port)
        for sock, address in ((v4, "127.0.0.1"), (v6, "::1")):
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
            assert not sock.getblocking()
            socket.create_connection((address, port)).close()
        with pytest.raises(PortTaken):
            bind_loopback(port)
    finally:
        closed(v4, v6)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_one_family_taken_means_neither_is_held(family: socket.AddressFamily) -> None:
    """The error names who has it, and the other family's port is free again."""
    with socket.socket(family) as other:
        other.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            bind_loopback(port)
        assert f"port {port}" in caught.value.message
        assert f"pid {os.getpid()}" in caught.value.message
        assert f"user {os.getuid()}" in caught.value.message
        assert caught.value.hint
        free = socket.AF_INET if family == socket.AF_INET6 else socket.AF_INET6
        binding._listen(free, "127.0.0.1" if free == socket.AF_INET else "::1", port).close()


def test_a_wildcard_listener_takes_the_port_too() -> None:
    """Somebody on 0.0.0.0 would get what is sent to 127.0.0.1 after we end."""
    with socket.create_server(("0.0.0.0", 0)) as other, pytest.raises(PortTaken):
        bind_loopback(other.getsockname()[1])


def test_port_0_tries_again_when_a_port_is_free_on_one_family_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both get the second choice."""
    real, calls = binding._listen, []

    def listen(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
        calls.append(address)
        if calls == ["127.0.0.1", "::1"]:
            raise OSError(errno.EADDRINUSE, "in use")
        return real(family, address, port)

    monkeypatch.setattr(binding, "_listen", listen)
    sockets = bind_loopback(0)
    assert calls == ["127.0.0.1", "::1"] * 2
    closed(*sockets)


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_without_ipv6_there_is_one_socket_and_a_warning(
    number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The system has switched it off."""
    real = binding._listen

    def listen(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(number, "off")
        return real(family, address, port)

    monkeypatch.setattr(binding, "_listen", listen)
    [v4] = bind_loopback(0)
    assert v4.family == socket.AF_INET
    assert "IPv6 is switched off" in caplog.text
    v4.close()


def test_the_holder_of_a_port_is_found_and_a_free_port_has_none() -> None:
    """On both addresses, by process and user."""
    sockets = bind_loopback(0)
    port = sockets[0].getsockname()[1]
    for address in ("127.0.0.1", "::1"):
        assert [(one.pid, one.uid) for one in holders_of(port, address) or ()] == [(os.getpid(), os.getuid())]
    closed(*sockets)
    assert holders_of(port, "127.0.0.1") == []


def test_a_unix_socket_is_private_from_the_start(tmp_path: Path) -> None:
    """Directory 0700, file 0600 or as asked."""
    path = tmp_path / "run" / "hublet" / "admin.sock"
    sock = bind_unix(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    sock.close()
    other = path.with_name("other.sock")
    sock = bind_unix(other, mode=0o660)
    assert stat.S_IMODE(other.stat().st_mode) == 0o660
    sock.close()


def test_a_dead_socket_is_replaced_and_a_live_one_refused(tmp_path: Path) -> None:
    """A socket is live if somebody takes a connection."""
    path = tmp_path / "run" / "admin.sock"
    first = bind_unix(path)
    with pytest.raises(PortTaken):
        bind_unix(path)
    assert path.exists()
    first.close()
    second = bind_unix(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    second.close()


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """A file or a link in its place belongs to somebody."""
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    (directory / "file").write_text("precious")
    (directory / "link").symlink_to(directory / "file")
    for name in ("file", "link"):
        with pytest.raises(ConfigError):
            bind_unix(directory / name)
    assert (directory / "file").read_text() == "precious"


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701, 0o777, 0o1777])
def test_a_directory_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    """They could put their own socket there."""
    directory = tmp_path / "run"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        bind_unix(directory / "admin.sock")
    assert "chmod 700" in caught.value.hint
    assert list(directory.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to give a directory away")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Whatever its mode."""
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    os.chown(directory, 12345, 12345)
    with pytest.raises(ConfigError):
        bind_unix(directory / "admin.sock")


def test_a_path_that_is_too_long_is_a_sentence(tmp_path: Path) -> None:
    """Unix sockets hold about a hundred characters."""
    with pytest.raises(ConfigError, match="too long"):
        bind_unix(tmp_path / "run" / ("x" * 120))


def test_sockets_handed_over_are_taken_when_they_are_loopback() -> None:
    """As LISTEN_FDS gives them: descriptors."""
    taken = adopt_loopback([sock.detach() for sock in bind_loopback(0)])
    assert [sock.family for sock in taken] == [socket.AF_INET, socket.AF_INET6]
    closed(*taken)


def test_sockets_of_more_than_one_kind_or_port_are_not_taken(tmp_path: Path) -> None:
    """And all of them are closed."""
    v4, v6 = bind_loopback(0)
    closed(v6)
    for other in (bind_unix(tmp_path / "run" / "s"), *bind_loopback(0)):
        given = [v4.dup().detach(), other.detach()]
        with pytest.raises(ConfigError, match="not all TCP on one port"):
            adopt_loopback(given)
        for descriptor in given:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)
    closed(v4)


def test_a_socket_that_the_network_reaches_is_not_taken() -> None:
    """Neither is one that does not listen."""
    wide = socket.create_server(("0.0.0.0", 0))
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0"):
        adopt_loopback([wide.detach()])
    with pytest.raises(ConfigError, match="not a listening"):
        adopt_loopback([socket.socket().detach()])


def test_a_socket_handed_over_reaches_a_child() -> None:
    """A child process adopts the descriptor that it was started with and answers on it."""
    v4, v6 = bind_loopback(0)
    port = v4.getsockname()[1]
    code = (
        "import sys; from hublet.door.binding import adopt_loopback\n"
        "[s] = adopt_loopback([int(sys.argv[1])]); s.setblocking(True)\n"
        "c, _ = s.accept(); c.sendall(b'hello'); c.close(); s.close()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(v4.fileno())], pass_fds=[v4.fileno()]) as child:
        closed(v4, v6)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.settimeout(20)
            assert client.recv(10) == b"hello"
        assert child.wait(20) == 0
