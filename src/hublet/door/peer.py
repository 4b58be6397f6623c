"""Who is at the other end of a connection: the peer's uid, by SOCK_DIAG on loopback TCP, by SO_PEERCRED on Unix
sockets.

On TCP the kernel is asked (sock_diag(7)) for the *client's* socket: its source is the peer's address, its destination
is ours. Asked the other way round, the kernel would return our own socket, which always belongs to our user. So both
addresses are taken from the connection itself, never from a caller.

An answer counts only if it has exactly these addresses, the state ESTABLISHED and an inode. A client that has closed
its socket shows uid 0 and inode 0. When another process has taken over the client's port, the answer shows the new
owner, but then our own socket is no longer ESTABLISHED; therefore our own TCP_INFO is read after the kernel's answer.

A process of our uid in another container (rootless podman, flatpak, snap) does not count as us. It is recognized by the
cgroup id of its socket, which is the inode of a directory in the cgroup2 file system. Where no cgroup2 is mounted this
check is skipped. A process whose cgroup id is not found there needs a token.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from hublet.core.values import dataclass

_established = 1
_sock_diag_by_family = 20
_nlmsg_error = 2
_netlink_sock_diag = 4
_attribute_cgroup_id = 21
_header = struct.Struct("=IHHII")
_question = struct.Struct("=BBBBI")
_answer = struct.Struct("=BBBB")
_ports = struct.Struct("!HH")
_numbers = struct.Struct("=IIIII")
_no_cookie = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
_patience = 0.1
_rescan_after = 2.0

containers = ("docker-", "libpod-", "crio-", "kubepods", "lxc.payload", "app-flatpak-", "snap.")
"""A cgroup is a container's if a component of its path begins with one of these."""
container_parents = frozenset({"docker", "lxc"})
"""A cgroup is a container's if a component of its path is one of these: without systemd, Docker and LXC put the cgroups
of their containers there."""


class Verdict(Enum):
    """Whether a peer is the same user. Only SAME_USER admits it; the others say why not, for counters and logs."""

    SAME_USER = "same-user"
    OTHER_USER = "other-user"
    GONE = "gone"
    CONTAINER = "container"
    UNKNOWN_CGROUP = "unknown-cgroup"
    UNASKABLE = "unaskable"


class Owner(NamedTuple):
    """The owner of the client's socket, as the kernel tells it."""

    uid: int
    inode: int
    cgroup: int | None


class Unaskable(Exception):
    """The kernel could not be asked."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The process at the other end of a Unix socket, as it was when the connection was made. The pid is -1 where the
    system does not tell it."""

    pid: int
    uid: int
    gid: int


class Peers:
    """Asks the kernel who the peers of our connections are. Holds one netlink socket; not for use by several
    threads."""

    def __init__(self, uid: int | None = None, *, cgroups: Cgroups | None = None) -> None:
        self.uid = os.getuid() if uid is None else uid
        self._cgroups = cgroups or Cgroups()
        self._netlink: socket.socket | None = None
        self._sequence = 0

    def close(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def same_user(self, connection: Any) -> Verdict:
        """Whether the peer of this connected TCP socket is a process of our user, not in another container."""
        try:
            owner = self.owner(connection)
        except Unaskable:
            return Verdict.UNASKABLE
        if owner is None or not _is_established(connection):
            return Verdict.GONE
        if owner.uid != self.uid:
            return Verdict.OTHER_USER
        return self._cgroups.verdict(owner.cgroup)

    def peer_uid(self, connection: Any) -> int | None:
        """The uid of the process at the other end, None when it is gone. Raises Unaskable."""
        owner = self.owner(connection)
        return owner.uid if owner is not None and _is_established(connection) else None

    def owner(self, connection: Any) -> Owner | None:
        """Who owns the client's socket of this connection; None when the kernel knows no such open socket. Raises
        Unaskable."""
        try:
            peer, ours = connection.getpeername(), connection.getsockname()
        except OSError:
            return None
        return self.ask(peer, ours)

    def ask(self, source: Any, destination: Any) -> Owner | None:
        """Who owns the ESTABLISHED socket with this source and destination (address, port, ...); None when there is
        none.

        Raises Unaskable when there is no netlink, no answer in time, or another error than "no such socket".
        """
        family, src, dst = _addresses(source[0], destination[0])
        identity = _ports.pack(source[1], destination[1]) + src.ljust(16, b"\0") + dst.ljust(16, b"\0")
        body = _question.pack(family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + identity + _no_cookie
        message = self._exchange(body)
        if message is None:
            return None
        if len(message) < 72:
            raise Unaskable("a short answer")
        told_family, state, _, _ = _answer.unpack_from(message)
        _, _, _, uid, inode = _numbers.unpack_from(message, 52)
        size = 4 if told_family == socket.AF_INET else 16
        told = message[4:8], _unmapped(message[8 : 8 + size]), _unmapped(message[24 : 24 + size])
        if told != (identity[:4], src, dst) or state != _established or inode == 0:
            return None
        return Owner(uid, inode, _cgroup_of(message))

    def _exchange(self, body: bytes) -> bytes | None:
        """Send one request over netlink and return the answer without its header; None when the kernel knows no such
        socket. Raises Unaskable."""
        try:
            if self._netlink is None:
                self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _netlink_sock_diag)
                self._netlink.settimeout(_patience)
                self._netlink.bind((0, 0))
            self._sequence = (self._sequence + 1) & 0xFFFFFFFF
            self._netlink.send(_header.pack(16 + len(body), _sock_diag_by_family, 1, self._sequence, 0) + body)
            until = time.monotonic() + _patience
            while time.monotonic() < until:
                data, sender = self._netlink.recvfrom(8192)
                if len(data) < 20 or sender[0] != 0:  # port id 0 is the kernel; any process may send to our socket
                    continue
                length, kind, _, sequence, _ = _header.unpack_from(data)
                if sequence != self._sequence or length > len(data):
                    continue  # a late answer to an earlier question
                if kind == _sock_diag_by_family:
                    return data[16:length]
                if kind == _nlmsg_error:
                    code = -struct.unpack_from("=i", data, 16)[0]
                    if code == 2:  # ENOENT
                        return None
                    raise Unaskable(os.strerror(code))
        except (OSError, AttributeError) as error:
            self.close()
            raise Unaskable(str(error)) from error
        raise Unaskable("no answer")


def _addresses(source: str, destination: str) -> tuple[int, bytes, bytes]:
    """The address family to ask for, and both addresses in bytes. IPv4-mapped addresses are asked for as IPv4, which
    finds client sockets of both families; the answer then has the family of the client's socket."""
    both = []
    for text in (source, destination):
        text = text.partition("%")[0]
        raw = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
        both.append(_unmapped(raw))
    if len(both[0]) != len(both[1]):
        raise Unaskable("addresses of two families")
    return (socket.AF_INET if len(both[0]) == 4 else socket.AF_INET6), both[0], both[1]


def _unmapped(raw: bytes) -> bytes:
    """An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) as IPv4, any other as it is."""
    return raw[12:] if len(raw) == 16 and raw.startswith(bytes(10) + b"\xff\xff") else raw


def _cgroup_of(message: bytes) -> int | None:
    """The attribute INET_DIAG_CGROUP_ID, which the kernel adds by itself if it knows it."""
    at = 72
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == _attribute_cgroup_id and length >= 12:
            return int(struct.unpack_from("=Q", message, at + 4)[0])
        at += max(4, (length + 3) & ~3)
    return None


def _is_established(connection: Any) -> bool:
    try:
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    except (OSError, AttributeError):
        return False
    return bool(state[0] == _established)


class Cgroups:
    """Whether a cgroup, given by its id, is a container's. The kernel never gives an id twice, so that the path found
    for one stays true."""

    def __init__(self, mount: Path | None = None, own: int | None = None) -> None:
        self._mount = mount or _cgroup2_mount()
        self._own = own if own is not None else _own_cgroup(self._mount)
        self._paths: dict[int, str] = {}
        self._unknown: dict[int, float] = {}

    def verdict(self, cgroup: int | None) -> Verdict:
        """Whether a process of our user in this cgroup is let in without a token."""
        if self._mount is None or cgroup is None or cgroup == self._own:
            return Verdict.SAME_USER
        path = self._path_of(cgroup)
        if path is None:
            return Verdict.UNKNOWN_CGROUP
        if any(part.startswith(containers) or part in container_parents for part in path.split("/")):
            return Verdict.CONTAINER
        return Verdict.SAME_USER

    def _path_of(self, cgroup: int) -> str | None:
        """The cgroup's path, None when it is not found. An unknown id costs a walk over the whole tree; it is not
        looked for again within two seconds."""
        known = self._paths.get(cgroup)
        now = time.monotonic()
        if known is not None or now - self._unknown.get(cgroup, -_rescan_after) < _rescan_after:
            return known
        if len(self._paths) > 10_000 or len(self._unknown) > 1_000:
            self._paths, self._unknown = {}, {}
        self._walk()
        found = self._paths.get(cgroup)
        if found is None:
            self._unknown[cgroup] = now
        return found

    def _walk(self) -> None:
        assert self._mount is not None  # verdict() asked before
        todo = [(os.fspath(self._mount), "")]
        self._paths[self._mount.stat().st_ino] = ""
        while todo:
            directory, path = todo.pop()
            try:
                with os.scandir(directory) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            inner = f"{path}/{entry.name}"
                            self._paths[entry.inode()] = inner
                            todo.append((entry.path, inner))
            except OSError:
                continue  # removed meanwhile, or closed to us


def _cgroup2_mount() -> Path | None:
    try:
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            if after.split()[0] == "cgroup2":
                return Path(before.split()[4])
    except (OSError, IndexError):
        pass
    return None


def _own_cgroup(mount: Path | None) -> int | None:
    if mount is None:
        return None
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::/"):
                return (mount / line[4:]).stat().st_ino
    except OSError:
        pass
    return None


def token_required_because(uid: int | None = None) -> str | None:
    """Why the owner of a connection can't be relied on here to admit it, None when it can. Asked once, at the start."""
    uid = os.geteuid() if uid is None else uid
    if sys.platform != "linux":
        return "the owner of a TCP connection can't be told on this system"
    if uid == 0:
        return "running as root, whose connections can come from other users' containers and namespaces"
    if "microsoft" in _read("/proc/version").lower():
        return "under WSL, Windows programs' connections look like ours"
    if str(uid) == _read("/proc/sys/kernel/overflowuid").strip():
        return "our user id is the one shown for every user that is unknown here"
    peers = Peers(uid)
    try:
        peers.ask(("127.0.0.1", 1), ("127.0.0.1", 1))
    except Unaskable as error:
        return f"the kernel does not tell who owns a connection ({error})"
    finally:
        peers.close()
    return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def unix_peer(connection: Any) -> Credentials:
    """Who is at the other end of a connected Unix socket: by SO_PEERCRED, on macOS by LOCAL_PEERCRED. Raises
    OSError."""
    if sys.platform == "darwin":  # pragma: no cover  from sys/un.h and sys/ucred.h; not tried
        version, uid, _, gid = struct.unpack_from("=IIhxxI", connection.getsockopt(0, 1, 76))
        if version != 0:
            raise OSError("xucred of an unknown version")
        return Credentials(int.from_bytes(connection.getsockopt(0, 2, 4), sys.byteorder), uid, gid)
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return Credentials(*struct.unpack("=iII", raw))
