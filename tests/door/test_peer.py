"""Who is at the other end: the kernel's answers, and each way in which they could be misread."""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hublet.door import peer
from hublet.door.peer import Cgroups, Owner, Peers, Unaskable, Verdict, token_required_because, unix_peer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="SOCK_DIAG is Linux's")


@contextmanager
def connected(address: str = "127.0.0.1", source: socket.AddressFamily | None = None) -> Iterator[tuple[Any, Any]]:
    """A loopback connection: our accepted side, and the client's."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as server:
        if address == "::ffff:127.0.0.1":
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind((address, 0))
        server.listen()
        client = socket.socket(source or family)
        target = (
            address if source is None else {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::ffff:127.0.0.1"}[source]
        )
        with client:
            client.connect((target, server.getsockname()[1]))
            accepted, _ = server.accept()
            with accepted:
                yield accepted, client


@pytest.fixture
def peers() -> Iterator[Peers]:
    asked = Peers()
    yield asked
    asked.close()


def admits(verdict: Verdict) -> bool:
    return verdict is Verdict.SAME_USER


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_our_own_connection_is_ours(peers: Peers, address: str) -> None:
    """On IPv4, IPv6 and an IPv4-mapped listener; asked again and again over one netlink socket."""
    with connected(address) as (ours, client):
        for _ in range(3):
            assert peers.same_user(ours) is Verdict.SAME_USER
        netlink = peers._netlink
        assert peers.peer_uid(ours) == os.getuid()
        assert peers._netlink is netlink
        owner = peers.owner(ours)
        assert owner is not None
        assert owner.inode == os.fstat(client.fileno()).st_ino


def test_mapped_on_one_side_only(peers: Peers) -> None:
    """An IPv6 client socket that connects to a mapped address, and an IPv4 client of a dual-stack listener."""
    for listener, source in (("127.0.0.1", socket.AF_INET6), ("::ffff:127.0.0.1", socket.AF_INET)):
        with connected(listener, source) as (ours, _):
            assert peers.same_user(ours) is Verdict.SAME_USER


def test_the_client_is_asked_for_and_not_ourselves(peers: Peers) -> None:
    """The inode told is the client's: the other way round it would be ours, and everybody would be the same user."""
    with connected() as (ours, client):
        owner = peers.owner(ours)
        swapped = peers.ask(ours.getsockname(), ours.getpeername())
        assert owner is not None
        assert swapped is not None
        assert owner.inode == os.fstat(client.fileno()).st_ino
        assert swapped.inode == os.fstat(ours.fileno()).st_ino


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_has_closed_is_gone(peers: Peers, how: str) -> None:
    """Its request can still be read, but nobody owns the socket any more (it would show uid 0)."""
    with connected() as (ours, client):
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        if how == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        root = Peers(0)
        assert root.same_user(ours) is Verdict.GONE
        root.close()
        assert peers.same_user(ours) is Verdict.GONE
        assert peers.peer_uid(ours) is None


def test_a_client_that_closed_its_sending_side_is_gone_too(peers: Peers) -> None:
    """Our side is then in CLOSE_WAIT; only ESTABLISHED counts."""
    with connected() as (ours, client):
        client.shutdown(socket.SHUT_WR)
        assert peers.same_user(ours) is Verdict.GONE


def test_a_listener_on_the_port_of_a_client_that_was_reset_is_not_the_client(peers: Peers) -> None:
    """The kernel then tells the listening socket: not ESTABLISHED."""
    for _ in range(5):
        with connected() as (ours, client):
            address = client.getsockname()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            try:
                server = socket.create_server(address)
            except OSError:
                continue  # another test's process was given the port in between
            with server:
                assert peers.same_user(ours) is Verdict.GONE
                return
    pytest.fail("the port was never free")


def test_a_new_connection_on_the_same_tuple_is_not_the_old_one(peers: Peers) -> None:
    """The kernel tells an ESTABLISHED socket with the right ports: only our own socket's state shows the difference."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        old, _ = server.accept()
        address, ours, theirs = client.getsockname(), old.getsockname(), old.getpeername()

        class Before:
            """The old connection with its addresses: after the reset the system does not tell them any more."""

            def getpeername(self) -> Any:
                return theirs

            def getsockname(self) -> Any:
                return ours

            def getsockopt(self, *args: int) -> Any:
                return old.getsockopt(*args)

        assert peers.same_user(Before()) is Verdict.SAME_USER
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(address)
            again.connect(ours)
            new, _ = server.accept()
            with new, old:
                assert peers.ask(theirs, ours) is not None
                assert peers.same_user(Before()) is Verdict.GONE
                assert peers.same_user(new) is Verdict.SAME_USER


def test_another_uid_is_another_user() -> None:
    """The uid to compare with is a parameter."""
    others = Peers(os.getuid() + 1)
    with connected() as (ours, _):
        assert others.same_user(ours) is Verdict.OTHER_USER
    others.close()


class Netlink:
    """The kernel's side of a netlink socket, with answers that we choose."""

    def __init__(self, *answers: tuple[bytes, int]) -> None:
        self.answers = list(answers)

    def send(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
        if not self.answers:
            raise TimeoutError
        data, sender = self.answers.pop(0)
        return data, (sender, 0)


def answer(
    sequence: int = 1, *, state: int = 1, inode: int = 7, ports: tuple[int, int] = (5, 6), **other: Any
) -> bytes:
    src, dst = other.get("src", b"\x7f\0\0\1"), other.get("dst", b"\x7f\0\0\1")
    identity = struct.pack("!HH16s16s", *ports, src, dst) + bytes(12)
    body = struct.pack("=BBBB", other.get("family", 2), state, 0, 0) + identity
    body += struct.pack("=IIIII", 0, 0, 0, other.get("uid", 1000), inode) + other.get("attributes", b"")
    return struct.pack("=IHHII", 16 + len(body), other.get("kind", 20), 0, sequence, 0) + body


def asked(*answers: tuple[bytes, int]) -> Owner | None:
    peers = Peers(1000)
    peers._netlink = Netlink(*answers)  # type: ignore[assignment]
    return peers.ask(("127.0.0.1", 5), ("127.0.0.1", 6))


def test_only_the_kernels_answer_to_this_question_counts() -> None:
    """Messages of other processes and late answers are passed over."""
    forged, late, right = (answer(uid=0), 4711), (answer(0, uid=1), 0), (answer(uid=1000), 0)
    owner = asked(forged, late, right)
    assert owner is not None
    assert owner.uid == 1000
    with pytest.raises(Unaskable):
        asked(forged, late)
    with pytest.raises(Unaskable):
        asked((answer()[:30], 0), (b"", 0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": 10},
        {"state": 6},
        {"state": 8},
        {"inode": 0},
        {"ports": (6, 5)},
        {"ports": (5, 7)},
        {"ports": (4, 6)},
        {"src": b"\x7f\0\0\2"},
        {"dst": b"\x7f\0\0\2"},
        {"family": 10},
    ],
)
def test_an_answer_about_another_socket_is_nobody(wrong: dict[str, Any]) -> None:
    """Not ESTABLISHED, without inode, with other ports, addresses or family."""
    assert asked((answer(), 0)) is not None
    assert asked((answer(**wrong), 0)) is None


def test_errors_of_netlink() -> None:
    """ENOENT means that there is nobody; any other error means that the kernel can't be asked."""

    def error(code: int) -> bytes:
        return struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -code) + bytes(16)

    assert asked((error(2), 0)) is None
    with pytest.raises(Unaskable):
        asked((error(1), 0))


def test_without_netlink_nobody_is_the_same_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the reason is told for a token."""

    def refuse(*_: object) -> socket.socket:
        raise PermissionError("not allowed")

    with connected() as (ours, _):
        peers = Peers()
        monkeypatch.setattr(peer.socket, "socket", refuse)
        assert peers.same_user(ours) is Verdict.UNASKABLE
        reason = token_required_because(1000)
        assert reason is not None
        assert "not allowed" in reason


def test_asking_goes_on_after_an_error(peers: Peers) -> None:
    """A broken netlink socket is replaced at the next question."""
    with connected() as (ours, _):
        assert admits(peers.same_user(ours))
        assert peers._netlink is not None
        peers._netlink.close()
        assert peers.same_user(ours) is Verdict.UNASKABLE
        assert admits(peers.same_user(ours))


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("user.slice/user-1000.slice/session-1.scope", Verdict.SAME_USER),
        ("user.slice/app-gnome-code-1.scope", Verdict.SAME_USER),
        ("system.slice/docker-0123.scope", Verdict.CONTAINER),
        ("system.slice/docker-0123.scope/inner/deeper", Verdict.CONTAINER),
        ("user.slice/libpod-abc.scope/container", Verdict.CONTAINER),
        ("kubepods/crio-abc.scope", Verdict.CONTAINER),
        ("user.slice/app-flatpak-org.x.Y-12.scope", Verdict.CONTAINER),
        ("user.slice/snap.code.code-1.scope", Verdict.CONTAINER),
        ("system.slice/snapd.service", Verdict.SAME_USER),
        ("docker/0123456789ab", Verdict.CONTAINER),
        ("kubepods.slice/kubepods-pod12.slice/cri-containerd-34.scope", Verdict.CONTAINER),
        ("system.slice/docker.service", Verdict.SAME_USER),
    ],
)
def test_a_process_in_a_container_needs_a_token(tmp_path: Path, path: str, verdict: Verdict) -> None:
    """By the names on the way from cgroup2's root to its directory, whose inode is the cgroup's id."""
    (tmp_path / path).mkdir(parents=True)
    cgroups = Cgroups(tmp_path, own=1)
    identity = (tmp_path / path).stat().st_ino
    assert cgroups.verdict(identity) is verdict
    assert cgroups.verdict(identity) is verdict
    assert Cgroups(tmp_path, own=identity).verdict(identity) is Verdict.SAME_USER


def test_an_unknown_cgroup_needs_a_token_and_is_not_searched_for_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids that were found are remembered for ever; ids that were not, for a while."""
    walks: list[int] = []
    real = Cgroups._walk
    monkeypatch.setattr(Cgroups, "_walk", lambda self: walks.append(1) or real(self))
    (tmp_path / "known").mkdir()
    cgroups = Cgroups(tmp_path, own=1)
    for _ in range(3):
        assert cgroups.verdict(2**60) is Verdict.UNKNOWN_CGROUP
        assert cgroups.verdict((tmp_path / "known").stat().st_ino) is Verdict.SAME_USER
    assert len(walks) == 1
    (tmp_path / "new").mkdir()
    identity = (tmp_path / "new").stat().st_ino
    assert cgroups.verdict(identity) is Verdict.SAME_USER
    now = time.monotonic()
    monkeypatch.setattr(peer.time, "monotonic", lambda: now + 3)
    assert cgroups.verdict(2**60) is Verdict.UNKNOWN_CGROUP
    assert len(walks) == 3


def test_without_cgroup2_the_rule_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nor where the kernel does not give the attribute."""
    assert Cgroups(tmp_path, own=1).verdict(None) is Verdict.SAME_USER
    monkeypatch.setattr(peer, "_cgroup2_mount", lambda: None)
    assert Cgroups().verdict(2**60) is Verdict.SAME_USER


def test_the_kernels_cgroup_id_is_our_own_directorys_inode(peers: Peers) -> None:
    """Where cgroup2 is mounted and the kernel tells it."""
    mount = peer._cgroup2_mount()
    with connected() as (ours, _):
        owner = peers.owner(ours)
        assert owner is not None
        if mount is None or owner.cgroup is None or peer._own_cgroup(mount) is None:
            pytest.skip("no cgroup2 here")
        assert owner.cgroup == peer._own_cgroup(mount)


def test_why_a_token_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As root, under WSL, on other systems, and as the overflow user, which stands for unknown ones; else it is not."""
    assert "root" in str(token_required_because(0))
    assert token_required_because(1000) is None
    real = peer._read
    monkeypatch.setattr(
        peer, "_read", lambda path: "Linux-microsoft-standard-WSL2" if "version" in path else real(path)
    )
    assert "WSL" in str(token_required_because(1000))
    monkeypatch.setattr(peer, "_read", real)
    overflow = int(Path("/proc/sys/kernel/overflowuid").read_text())
    assert "unknown" in str(token_required_because(overflow))
    monkeypatch.setattr(peer.sys, "platform", "darwin")
    assert "this system" in str(token_required_because(1000))


def test_a_unix_peer_is_told_by_the_kernel() -> None:
    """Pid, uid and gid of who connected."""
    one, two = socket.socketpair(socket.AF_UNIX)
    with one, two:
        who = unix_peer(one)
        assert (who.pid, who.uid, who.gid) == (os.getpid(), os.getuid(), os.getgid())
