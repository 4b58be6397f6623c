"""Clients of a running daemon within the test's own process: as its own user, or as another user of the machine."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from tests.running import AS_ROOT, OTHER_UID, Answer, RunningDaemon

PATIENCE = 20.0


def connect(daemon: RunningDaemon, *, uid: int | None = None) -> socket.socket:
    """A connection whose owner, for the kernel, is the daemon's own user (or `uid`).

    Root gives its socket away before it connects: whose it is can be seen from outside (SOCK_DIAG), and costs no
    process a request.
    """
    opened = socket.socket()
    opened.settimeout(PATIENCE)
    if AS_ROOT:
        os.fchown(opened.fileno(), *[daemon.home.uid if uid is None else uid] * 2)
    try:
        opened.connect(("127.0.0.1", daemon.port))
    except OSError:
        opened.close()
        raise
    return opened


def ask(
    daemon: RunningDaemon,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    stranger: bool = False,
) -> Answer:
    """One request and its whole answer. http.client.IncompleteRead when the answer is broken off."""
    connection = http.client.HTTPConnection("localhost", daemon.port, timeout=PATIENCE)
    connection.sock = connect(daemon, uid=OTHER_UID if stranger else None)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


class Visitor:
    """A client that writes its bytes itself, and reads them as they come."""

    def __init__(self, daemon: RunningDaemon) -> None:
        self.socket = connect(daemon)
        self.host = f"localhost:{daemon.port}".encode()
        self.got = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """`%HOST%` stands for the daemon's own Host."""
        self.socket.sendall(data.replace(b"%HOST%", self.host))

    def until(self, text: bytes) -> bytes:
        """What came up to and with a text, from the beginning on. Fails when the connection ends first."""
        while text not in self.got:
            data = self.socket.recv(65536)
            assert data, f"the connection ended: {self.got!r}"
            self.got += data
        return self.got[: self.got.index(text) + len(text)]

    def rest(self) -> bytes:
        """All that came, once the connection has ended in whatever way."""
        with contextlib.suppress(ConnectionResetError):
            while data := self.socket.recv(65536):
                self.got += data
        return self.got


class RawHub:
    """A Hub of which the test reads and writes the bytes: one connection at a time.

    `got` is what came on the newest connection, `connections` how many there were.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.got = b""
        self.ended = threading.Event()
        self._answer = b""
        self._peer: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer_with(self, head: bytes, body: bytes = b"") -> None:
        """What every request is answered with from now on, once its head has come; nothing when the head is empty.
        The connection is closed then."""
        self._answer = head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body if head else b""

    def say(self, data: bytes) -> None:
        """Send to the newest connection now."""
        assert self._peer is not None
        self._peer.sendall(data)

    def forget(self) -> None:
        self.connections, self.got = 0, b""
        self.ended.clear()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._peer is not None:
            with contextlib.suppress(OSError):
                self._peer.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._peer, self.got = peer, b""
            self.connections += 1
            with peer, contextlib.suppress(OSError):
                while data := peer.recv(65536):
                    self.got += data
                    if self._answer and b"\r\n\r\n" in self.got:
                        peer.sendall(self._answer)
                        break
            self.ended.set()


@contextmanager
def raw_hub() -> Iterator[RawHub]:
    hub = RawHub()
    try:
        yield hub
    finally:
        hub.close()
