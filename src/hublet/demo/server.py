"""A pretend Hub on a real loopback port. Carries out the faults of the wire."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from http import HTTPStatus
from types import TracebackType
from typing import Any

from hublet.demo.faults import Disconnect, Hang, Reset, SlowDrip, Truncated, WrongLength
from hublet.demo.hub import Hub
from hublet.demo.reply import Reply

_HOST = "127.0.0.1"
_GZIP_FROM = 256


class HubServer:
    """Runs a Hub. Transitions: stopped → start() → running → stop() → stopped; restart() takes the same port again.

    `stop` frees the port at once and ends every open connection, also those that hang. With `tls` the server speaks
    https. `crashes` has the exceptions that the Hub raised: none, unless it has a bug.
    """

    def __init__(self, hub: Hub | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.hub = hub or Hub()
        self.tls = tls
        self.port = 0
        self.crashes: list[BaseException] = []
        self._listener: _Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{_HOST}:{self.port}"

    @property
    def running(self) -> bool:
        return self._listener is not None

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return 0 if self._listener is None else len(self._listener.open)

    def start(self, port: int = 0) -> HubServer:
        """Listen on a loopback port; 0 means a free one. Raises OSError when the port is taken."""
        if self._listener is not None:
            raise RuntimeError("already running")
        self._listener = _Listener(self, port)
        self.port = self._listener.server_address[1]
        self.hub.public_url = self.url
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End all connections and free the port. Does nothing when the server is stopped."""
        listener, thread = self._listener, self._thread
        if listener is None or thread is None:
            return
        self._listener = self._thread = None
        listener.shutdown()
        listener.server_close()
        listener.end_connections()
        thread.join()

    def restart(self) -> HubServer:
        """Stop the server if it is running, and listen on the same port again."""
        self.stop()
        return self.start(self.port)

    def __enter__(self) -> HubServer:
        return self if self.running else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class _Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, owner: HubServer, port: int) -> None:
        self.owner = owner
        self.stopping = threading.Event()
        self.open: set[socket.socket] = set()
        self._gone = threading.Condition()
        super().__init__((_HOST, port), _Connection)

    def server_bind(self) -> None:
        # HTTPServer.server_bind looks up the host's name, which may ask a name server.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, peer = self.socket.accept()
        if self.owner.tls is not None:
            # The handshake happens at the first read, in the connection's own thread.
            connection = self.owner.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._gone:
            self.open.add(connection)
        return connection, peer

    def shutdown_request(self, request: Any) -> None:
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown: it drops the TLS state while another thread may be reading.
            socket.socket.shutdown(request, socket.SHUT_WR)
        request.close()
        with self._gone:
            self.open.discard(request)
            self._gone.notify_all()

    def end_connections(self) -> None:
        """Wake every thread that reads, writes or waits, and wait until all are gone."""
        self.stopping.set()
        with self._gone:
            for connection in self.open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
            self._gone.wait_for(lambda: not self.open, timeout=5)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: a client may go at any time."""


class _Connection(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def log_message(self, format: str, *args: Any) -> None:  # the base class's name
        """Print nothing to standard error."""

    def _answer(self) -> None:
        body = self._body()
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        try:
            reply = self.server.owner.hub.respond(self.command, self.path, headers, body)
        except Exception as error:  # noqa: BLE001  # a bug of the Hub is kept in `crashes` and answered with 500
            self.server.owner.crashes.append(error)
            reply = Reply(500, (("Content-Type", "text/plain"),), b"the pretend Hub has a bug")
        if "gzip" in headers.get("accept-encoding", ""):
            reply = _gzipped(reply)
        self._send(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815  # the base class's names

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        whole = b""
        while size := int(self.rfile.readline().partition(b";")[0] or b"0", 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b"\n", b""):
            pass
        return whole

    def _send(self, reply: Reply) -> None:
        match reply.fault:
            case Reset():
                # With SO_LINGER at zero seconds closing the socket sends RST.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            case Disconnect() | Hang(after_head=False):
                self.close_connection = True
                if isinstance(reply.fault, Hang):
                    self._hang()
                return
        whole = reply.body if isinstance(reply.body, bytes) else reply.read() if reply.fault else None
        chunked = whole is None and reply.header("content-length") is None
        head = self._head(reply, None if chunked else whole, chunked)
        silent = self.command == "HEAD" or reply.status in (204, 304)
        match reply.fault:
            case Hang():
                self.close_connection = True
                self._write(head)
                self._hang()
            case SlowDrip(rate, drips_head):
                if not drips_head:
                    self._write(head)
                for byte in (head if drips_head else b"") + (b"" if silent else reply.read()):
                    self._write(bytes([byte]))
                    if self.server.stopping.wait(1 / rate):
                        break
            case Truncated(part):
                self.close_connection = True
                data = reply.read()
                self._write(head + data[: int(len(data) * part)])
            case _ if silent:
                self._write(head)
            case _ if whole is not None:
                self._write(head + whole)
            case _:
                self._write(head)
                self._stream(reply, chunked)

    def _head(self, reply: Reply, whole: bytes | None, chunked: bool) -> bytes:
        phrase = HTTPStatus(reply.status).phrase if reply.status in HTTPStatus._value2member_map_ else "Unknown"
        lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{name}: {value}" for name, value in reply.headers)]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        elif whole is not None and reply.status not in (204, 304):
            off = reply.fault.by if isinstance(reply.fault, WrongLength) else 0
            lines.append(f"Content-Length: {max(0, len(whole) + off)}")
        if isinstance(reply.fault, WrongLength):
            self.close_connection = True
        if self.close_connection or reply.fault is not None:
            self.close_connection = True
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _stream(self, reply: Reply, chunked: bool) -> None:
        for piece in _paced(reply, self.server.stopping):
            if piece:
                self._write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self._write(b"0\r\n\r\n")

    def _write(self, data: bytes) -> None:
        self.wfile.write(data)

    def _hang(self) -> None:
        """Wait until the client goes or the server stops: both end this read."""
        with contextlib.suppress(OSError):
            while self.connection.recv(65536):
                pass


def _paced(reply: Reply, stopping: threading.Event) -> Iterator[bytes]:
    if isinstance(reply.body, bytes):
        yield reply.body
        return
    for number, piece in enumerate(reply.body):
        if number and reply.pace and stopping.wait(reply.pace):
            # An exception and not a return: the body must not look complete.
            raise ConnectionAbortedError
        yield piece


def _gzipped(reply: Reply) -> Reply:
    """The reply compressed with gzip, the same bytes every time. Short bodies and streams stay as they are."""
    if not isinstance(reply.body, bytes) or len(reply.body) < _GZIP_FROM or reply.header("content-encoding"):
        return reply
    packed = gzip.compress(reply.body, 6, mtime=0)
    return Reply(
        reply.status,
        (*reply.headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")),
        packed,
        reply.fault,
        reply.pace,
    )
