"""Sockets to listen on: loopback TCP in both families, a Unix socket in a private directory, or sockets that a service
manager hands over."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from hublet.core.errors import ConfigError, PortTaken

log = logging.getLogger("hublet.door")
backlog = 512
_tries = 20


def bind_loopback(port: int) -> list[socket.socket]:
    """Listening sockets on 127.0.0.1 and ::1 at the same port, both or neither: clients say `localhost`, and nobody
    else may hold one of the two. Port 0 picks one that is free on both. Raises PortTaken.

    Where IPv6 is switched off there is only the first (nobody else can have ::1 either); the log says so.
    """
    for attempt in range(_tries):
        sockets: list[socket.socket] = []
        try:
            sockets.append(_listen(socket.AF_INET, "127.0.0.1", port))
            chosen = sockets[0].getsockname()[1]
            try:
                sockets.append(_listen(socket.AF_INET6, "::1", chosen))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                log.warning("IPv6 is switched off: listening on 127.0.0.1 only")
        except OSError as error:
            for each in sockets:
                each.close()
            if error.errno == errno.EADDRINUSE and port == 0 and attempt < _tries - 1:
                continue  # free on one family only
            if error.errno == errno.EADDRINUSE:
                raise _taken(port) from error
            if error.errno == errno.EACCES:
                raise PortTaken(
                    f"port {port} can't be used without more rights", hint="choose a port above 1023 in serve.port"
                ) from error
            raise
        else:
            return sockets
    raise AssertionError("unreachable: the last try returns or raises")


def _listen(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    # The protocol is named because asyncio sets TCP_NODELAY only on sockets that name it. Without TCP_NODELAY an answer
    # written as head and body would wait up to 40 ms for the client's delayed acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A restart can bind while the port is in TIME_WAIT. Never SO_REUSEPORT: two programs could share the port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(backlog)  # at once: with SO_REUSEADDR two programs may both bind, but only one may listen
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _taken(port: int) -> PortTaken:
    who = _holder(port)
    return PortTaken(
        f"port {port} is in use{f' by {who}' if who else ''}",
        hint="stop that program, or choose another port in serve.port",
    )


def _holder(port: int) -> str | None:
    """Who keeps us from a port, as far as the kernel tells us: `python (pid 12, user 1000)`."""
    from hublet.door.holders import holders_of  # only a failed start needs it

    for address in ("127.0.0.1", "::1"):
        for one in holders_of(port, address) or ():
            return f"{one.program} (pid {one.pid}, user {one.uid})" if one.pid else f"a program of user {one.uid}"
    return None


def bind_unix(path: Path, mode: int = 0o600) -> socket.socket:
    """A listening Unix socket at `path`, in a directory that only we can enter (made with 0700 when missing).

    The file of a socket that nobody listens on any more is replaced; a live one raises PortTaken. Raises ConfigError
    for a directory that others can use, or anything else at `path`.
    """
    path = Path(path)
    with _private_directory(path.parent):
        _clear(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Safe although the mode comes after: until then the directory keeps others out.
            sock.bind(os.fspath(path))
            path.chmod(mode)
            sock.listen(backlog)
            sock.setblocking(False)
        except OSError as error:
            sock.close()
            if "too long" in str(error):
                raise ConfigError((f"{path}: the path is too long for a Unix socket",)) from error
            raise
        return sock


@contextmanager
def _private_directory(directory: Path) -> Iterator[None]:
    """Make the directory, or check that it is ours and private, and hold a lock on it, so that two hublets never look
    for a socket and bind at the same time. Raises ConfigError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise ConfigError(
                (f"{directory}: a socket's directory must be ours and closed to others (mode 0700)",),
                hint=f"chmod 700 {directory}",
            )
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _clear(path: Path) -> None:
    """Remove the socket file of a process that has ended. Raises PortTaken when somebody listens on it, ConfigError
    when the file is no socket."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ConfigError((f"{path}: is in the way of the socket and is not one",))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass  # a full backlog or a slow listener is alive
    raise PortTaken(f"another program listens on {path}", hint="is another hublet running?")


def adopt_loopback(descriptors: Iterable[int]) -> list[socket.socket]:
    """The API's listening sockets, handed over by a service manager as descriptors, checked.

    All must be TCP, listen on loopback and on one port. Else ConfigError is raised and all are closed: a socket that
    the network can reach is never served.
    """
    sockets: list[socket.socket] = []
    mixed = ConfigError(
        ("the service manager hands over sockets that are not all TCP on one port",),
        hint="`hublet service install` writes the unit that does",
    )
    try:
        for descriptor in descriptors:
            sock = socket.socket(fileno=descriptor)
            sockets.append(sock)
            if sock.type != socket.SOCK_STREAM or not _listens(sock):
                raise ConfigError((f"descriptor {descriptor}: not a listening stream socket",))
            if sock.family not in (socket.AF_INET, socket.AF_INET6):
                raise mixed
            if not _is_loopback(sock):
                raise ConfigError((f"descriptor {descriptor}: listens on {sock.getsockname()[0]}, not on loopback",))
            sock.setblocking(False)
            os.set_inheritable(descriptor, False)
        if len({sock.getsockname()[1] for sock in sockets}) != 1:
            raise mixed
    except BaseException:
        for each in sockets:
            each.close()
        raise
    return sockets


def _is_loopback(sock: socket.socket) -> bool:
    address = ip_address(sock.getsockname()[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _listens(sock: socket.socket) -> bool:
    if sys.platform == "darwin" and not hasattr(socket, "SO_ACCEPTCONN"):  # pragma: no cover
        return True
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
