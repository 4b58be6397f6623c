"""Who is at the other end of a connection: the peer's uid by SOCK_DIAG on loopback TCP, by the kernel on Unix sockets.

The question asked of the kernel (sock_diag(7)) is for the *client's* socket: source = the peer's address, destination =
ours. Asked the other way round it would return our own socket, which is always the same user; both addresses are
therefore taken from the connection itself and never from a caller. An answer counts only if it is that very connection,
ESTABLISHED, with an inode: a client that has closed shows uid 0 and inode 0, and a port taken over shows its new owner,
in which case our own socket's TCP_INFO has left ESTABLISHED; that is therefore looked at last.

Containers: a process of our uid in another container (rootless podman, flatpak, snap) is not "us". Its socket's cgroup
id is the inode of a directory in cgroup2. Where no cgroup2 is mounted this can't be asked and is skipped; an id that is
not to be found there needs a token.
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
"""A cgroup with a path component that begins so is another container's."""
container_parents = frozenset({"docker", "lxc"})
"""Without systemd, Docker and LXC put each container's cgroup into one of this very name."""


class Verdict(Enum):
    """Whether a peer is the same user. Only SAME_USER admits; the others name the reason, for counters and logs."""

    SAME_USER = "same-user"
    OTHER_USER = "other-user"
    GONE = "gone"
    CONTAINER = "container"
    UNKNOWN_CGROUP = "unknown-cgroup"
    UNASKABLE = "unaskable"


class Owner(NamedTuple):
    """The client socket's owner, as the kernel told."""

    uid: int
    inode: int
    cgroup: int | None


class Unaskable(Exception):
    """The kernel could not be asked."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who opened the other end of a Unix socket, when it was opened. The pid is -1 where the system does not tell."""

    pid: int
    uid: int
    gid: int


class Peers:
    """Asks who the peers of our connections are. Holds one netlink socket; not to be shared between threads."""

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
        """The uid of the process at the other end; None when it is gone. Raises Unaskable."""
        owner = self.owner(connection)
        return owner.uid if owner is not None and _is_established(connection) else None

    def owner(self, connection: Any) -> Owner | None:
        """Who owns the client's socket of this connection; None when the kernel knows no such open socket."""
        try:
            peer, ours = connection.getpeername(), connection.getsockname()
        except OSError:
            return None
        return self.ask(peer, ours)

    def ask(self, source: Any, destination: Any) -> Owner | None:
        """Who owns the ESTABLISHED socket with this source and destination (address, port, ...); None for none.

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
        """One question, one answer (without its header); None when the kernel knows no such socket."""
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
                if len(data) < 20 or sender[0] != 0:  # pid 0 is the kernel: any process may send to a netlink socket
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
    """Both addresses in bytes. IPv4-mapped ones are asked for as IPv4, which finds client sockets of both families; the
    answer has the family of the client's socket."""
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
    """The INET_DIAG_CGROUP_ID attribute, which comes unasked where the kernel knows it."""
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
    """Which container a cgroup id belongs to. Ids are never used twice, so what was found once stays true."""

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
        """The cgroup's path. An unknown one costs a walk over the tree, so it is not looked for again at once."""
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
    """Why same-user admission can't be relied on here, None when it can. Whoever serves asks once, at start."""
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
    """Who is at the other end of a connected Unix socket: SO_PEERCRED, on macOS LOCAL_PEERCRED. Raises OSError."""
    if sys.platform == "darwin":  # pragma: no cover  from sys/un.h and sys/ucred.h; not tried
        version, uid, _, gid = struct.unpack_from("=IIhxxI", connection.getsockopt(0, 1, 76))
        if version != 0:
            raise OSError("xucred of an unknown version")
        return Credentials(int.from_bytes(connection.getsockopt(0, 2, 4), sys.byteorder), uid, gid)
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return Credentials(*struct.unpack("=iII", raw))
