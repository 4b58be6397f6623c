"""Asking a running daemon over its admin socket: HTTP/1.1 in a few lines, one request on each connection.

    request_of, head_of, chunk_size      the exchange as bytes: ui/asking.py uses them too, on an event loop
    object_of, refused, unreachable      what an answer, or the lack of one, means to whoever asked
    is_listening, SocketClient           asking in a thread that may wait

The standard library's HTTP client would do, but takes longer to load than hublet takes to answer: `hublet status`
loads this module and little else.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from hublet.core.errors import AdminError, NotRunning

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

PATIENCE = 30.0
"""Seconds without a byte after which an answer is given up."""
_PASS_PATIENCE = 900.0
"""The same for a stream, which may have nothing to tell while a pass runs."""
NOBODY = (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)
"""Errors of `connect` that mean that no daemon is behind the socket."""
_LONGEST_LINE = 64 * 1024


class Broken(Exception):
    """The answer is not whole, or is not HTTP/1.1 as hublet speaks it."""


# The exchange as bytes


def request_of(method: str, target: str, value: object = None) -> bytes:
    """A request with `value` as its JSON body; None means no body. `target` is a path that is already quoted."""
    body = b"" if value is None else json.dumps(value).encode()
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"Content-Length: {len(body)}"] if body or method != "GET" else []
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def head_of(text: bytes) -> tuple[int, int | None]:
    """Status and body length of an answer, by its head; None for the length when the body comes in chunks.

    Raises Broken.
    """
    first, *rest = text.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    code, length = first.split(" ")[1:2], fields.get("content-length", "")
    if not first.startswith("HTTP/1.1 ") or not code or not code[0].isdecimal():
        raise Broken
    if fields.get("transfer-encoding") == "chunked":
        return int(code[0]), None
    if not length.isdecimal():
        raise Broken
    return int(code[0]), int(length)


def chunk_size(line: bytes) -> int:
    """The size that the first line of a chunk tells (RFC 9112 section 7.1); 0 is the end. Raises Broken."""
    try:
        if line.endswith(b"\r\n") and (size := int(line, 16)) >= 0:
            return size
    except ValueError:
        pass
    raise Broken


# What it means


def object_of(text: bytes) -> dict[str, Any]:
    """The JSON object of an answer. Raises AdminError when it is something else."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise AdminError("the daemon's answer can't be read", hint="is another version of hublet running?")
    return value


def refused(value: dict[str, Any]) -> AdminError:
    """The daemon's own error, by the object that it answered with."""
    message, hint, code = value.get("message"), value.get("hint"), value.get("exit_code")
    return AdminError(
        str(message or "the daemon refused"), hint=str(hint or ""), exit_code=code if isinstance(code, int) else 10
    )


def unreachable(error: Exception) -> NotRunning:
    """Why there is no answer, for people: nobody is there, it takes too long, or the answer was broken off."""
    if isinstance(error, NOBODY):
        return NotRunning("hublet is not running", hint="`hublet service start` or `hublet run` starts it")
    if isinstance(error, TimeoutError | BlockingIOError):
        return NotRunning("the daemon does not answer in time", hint="look at its log")
    return NotRunning(f"the daemon broke off the answer ({type(error).__name__})", hint="look at its log")


# Asking in a thread that may wait


def knock(path: Path) -> None:
    """Connect to a Unix socket, and hang up. Raises OSError: one of `NOBODY` where nobody listens."""
    with closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(str(path))


def is_listening(path: Path) -> bool:
    """Whether anybody listens on a Unix socket. A daemon that hangs, with its queue of connections full, does too."""
    try:
        knock(path)
    except (TimeoutError, BlockingIOError):  # a full queue: Linux says so at once
        return True
    except OSError:
        return False
    return True


class SocketClient:
    """The daemon behind an admin socket. Raises NotRunning when it can't be reached or breaks off, and AdminError with
    the daemon's own sentence when it refuses."""

    running = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def call(self, method: str, path: str, value: object = None, *, patience: float = PATIENCE) -> dict[str, Any]:
        """One request, one JSON object. `patience` is how many seconds may pass without a byte."""
        with self._asked(method, path, value, patience) as pieces:
            return object_of(b"".join(pieces))

    def stream(self, method: str, path: str) -> Iterator[dict[str, Any]]:
        """One request, an object for each line as it comes."""
        with self._asked(method, path, None, _PASS_PATIENCE) as pieces:
            rest = b""
            for piece in pieces:
                *whole, rest = (rest + piece).split(b"\n")
                yield from map(object_of, whole)

    @contextmanager
    def _asked(self, method: str, path: str, value: object, patience: float) -> Iterator[Iterator[bytes]]:
        """The body of a 200, piece by piece."""
        try:
            with closing(socket.socket(socket.AF_UNIX)) as sock:
                sock.settimeout(patience)
                sock.connect(str(self._path))
                sock.sendall(request_of(method, path, value))
                with sock.makefile("rb") as answer:
                    status, length = head_of(_head(answer))
                    if status != 200:
                        raise refused(object_of(b"".join(_pieces(answer, length))))
                    yield _pieces(answer, length)
        except (OSError, Broken) as error:
            raise unreachable(error) from None


def _head(answer: BinaryIO) -> bytes:
    """The lines of the head. Raises Broken when the answer ends before it does."""
    lines: list[bytes] = []
    while (line := answer.readline(_LONGEST_LINE)) != b"\r\n":
        if not line.endswith(b"\r\n"):
            raise Broken
        lines.append(line)
    return b"".join(lines)


def _pieces(answer: BinaryIO, length: int | None) -> Iterator[bytes]:
    """The body: at once when its `length` is known, else chunk by chunk as it comes. Raises Broken."""
    if length is not None:
        yield _exactly(answer, length)
        return
    while size := chunk_size(answer.readline(_LONGEST_LINE)):
        yield _exactly(answer, size + 2)[:-2]


def _exactly(answer: BinaryIO, size: int) -> bytes:
    data = answer.read(size)
    if len(data) != size:
        raise Broken
    return data
