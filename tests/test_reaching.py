"""Asking a daemon over its admin socket: what is a whole answer, and what is said where there is none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from hublet.core.errors import AdminError, HubletError, NotRunning
from hublet.reaching import Broken, SocketClient, chunk_size, head_of, is_listening, request_of

OBJECT = b'{"a": 1}'
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + OBJECT
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def answering(path: Path, *answers: bytes) -> Iterator[list[bytes]]:
    """Somebody behind a socket who gives these answers, one on each connection; the requests that came."""
    asked: list[bytes] = []
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    asked.append(connection.recv(65536))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def test_a_whole_answer_and_one_in_chunks_are_the_same(path: Path) -> None:
    with answering(path, WHOLE, CHUNKED + chunks(OBJECT[:3], OBJECT[3:], b"")) as asked:
        assert SocketClient(path).call("POST", "/x", {"b": None}) == {"a": 1}
        assert SocketClient(path).call("GET", "/x") == {"a": 1}
    assert asked[0].endswith(b'Content-Length: 11\r\n\r\n{"b": null}')
    assert asked[1] == request_of("GET", "/x") == b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def test_a_stream_is_an_object_for_each_line_wherever_the_chunks_end(path: Path) -> None:
    with answering(path, CHUNKED + chunks(b'{"n": 1}\n{"n"', b": 2}\n{}", b"\n", b"")):
        assert list(SocketClient(path).stream("GET", "/events")) == [{"n": 1}, {"n": 2}, {}]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\n" + OBJECT,
        WHOLE[:-1],
        CHUNKED + chunks(OBJECT),
        CHUNKED + b"8\r\n" + OBJECT,
        CHUNKED + b"-1\r\n",
        CHUNKED + b"eight\r\n",
    ],
)
def test_half_an_answer_is_none(path: Path, answer: bytes) -> None:
    """However it was broken off; as a stream too, once the whole lines were told."""
    with answering(path, answer, answer):
        with pytest.raises(NotRunning, match="the daemon broke off the answer"):
            SocketClient(path).call("GET", "/x")
        with pytest.raises(NotRunning, match="the daemon broke off the answer"):
            list(SocketClient(path).stream("GET", "/x"))


def test_a_refusal_is_the_daemons_own_error(path: Path) -> None:
    """With its hint and exit code; another version's answer may have neither, or be no object."""
    said = b'{"message": "no", "hint": "wait", "exit_code": 5}'
    refusal = b"HTTP/1.1 409 Conflict\r\nContent-Length: %d\r\n\r\n"
    with answering(path, refusal % len(said) + said, refusal % 2 + b"{}", refusal % 2 + b"[]"):
        found: list[HubletError] = []
        for _ in range(3):
            with pytest.raises(AdminError) as caught:
                SocketClient(path).call("GET", "/x")
            found.append(caught.value)
    assert [(each.message, each.hint, each.exit_code) for each in found] == [
        ("no", "wait", 5),
        ("the daemon refused", "", 10),
        ("the daemon's answer can't be read", "is another version of hublet running?", 10),
    ]


def test_nobody_is_there(path: Path) -> None:
    """No socket, one that was left over, or a file in the way of its folder."""
    with closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(path))
    for place in (path, path.with_name("none.sock"), path / "below"):
        assert not is_listening(place)
        with pytest.raises(NotRunning, match="hublet is not running"):
            SocketClient(place).call("GET", "/x")


def test_a_daemon_that_hangs_is_there(path: Path) -> None:
    """One that accepts nothing, before its queue is full and afterwards: it does not answer in time."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
        listener.bind(str(path))
        listener.listen(0)
        assert is_listening(path)
        for _ in range(4):
            waiting = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
            waiting.setblocking(False)
            waiting.connect_ex(str(path))
        assert is_listening(path)
        with pytest.raises(NotRunning, match="the daemon does not answer in time"):
            SocketClient(path).call("GET", "/x", patience=0.1)


def test_heads_and_sizes() -> None:
    assert head_of(b"HTTP/1.1 503 Busy\r\ncontent-LENGTH: 7 \r\n\r\n") == (503, 7)
    assert head_of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") == (200, None)
    for head in (
        b"HTTP/1.1 two\r\nContent-Length: 1\r\n",
        b"HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
    ):
        with pytest.raises(Broken):
            head_of(head)
    assert chunk_size(b"1F\r\n") == 31
    for line in (b"1F", b"\r\n", b"-0x1\r\n"):
        with pytest.raises(Broken):
            chunk_size(line)
