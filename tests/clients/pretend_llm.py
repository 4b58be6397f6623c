"""A pretend model server on a loopback port: OpenAI's chat completions, whole or as server-sent events."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

WORDS = ("The", " owl", " flies", " at", " night", ".")
"""What it says to everything, a token each."""


@dataclass(frozen=True)
class Prompt:
    """One request: who asked, by the Authorization header as it was sent, and what."""

    path: str
    authorization: str | None
    body: dict[str, Any]


class PretendLlm:
    """Runs while its with block lasts. `prompts` has every request in the order in which they came."""

    def __init__(self) -> None:
        self.prompts: list[Prompt] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.llm = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """The `apiBase` of a model here."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def text(self) -> str:
        return "".join(WORDS)

    def bearers(self) -> list[str | None]:
        """The Authorization of each request so far; these are then forgotten."""
        found = [prompt.authorization for prompt in self.prompts]
        self.prompts.clear()
        return found

    def __enter__(self) -> PretendLlm:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    llm: PretendLlm

    def server_bind(self) -> None:
        # HTTPServer's own looks up the host's name, which may ask a name server.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing to say: clients may go whenever they like."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Never to stderr."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
        self.server.llm.prompts.append(Prompt(self.path, self.headers.get("authorization"), body))
        if not self.path.endswith("/chat/completions"):
            self._send(404, "application/json", [b'{"error":{"message":"not here"}}'])
        elif body.get("stream"):
            self._send(200, "text/event-stream", _events(body))
        else:
            self._send(200, "application/json", [json.dumps(_whole(body)).encode()])

    def _send(self, status: int, media_type: str, pieces: Iterator[bytes] | list[bytes]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


def _same(body: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-pretend", "created": 1_750_000_000, "model": body.get("model", "")}


def _whole(body: dict[str, Any]) -> dict[str, Any]:
    said = {"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)}, "finish_reason": "stop"}
    used = {"prompt_tokens": 1, "completion_tokens": len(WORDS), "total_tokens": 1 + len(WORDS)}
    return {**_same(body), "object": "chat.completion", "choices": [said], "usage": used}


def _events(body: dict[str, Any]) -> Iterator[bytes]:
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"role": "assistant", "content": WORDS[0]}, None),
        *(({"content": word}, None) for word in WORDS[1:]),
        ({}, "stop"),
    ]
    for delta, finish in deltas:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        yield (
            b"data: %b\n\n"
            % json.dumps({**_same(body), "object": "chat.completion.chunk", "choices": [choice]}).encode()
        )
    yield b"data: [DONE]\n\n"
