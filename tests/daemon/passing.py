"""Where pass-through is tried: a Hub, a home that is logged in to it, and a daemon between them and the client."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.running import AS_ROOT, Home, RunningDaemon, eventually

CHAT = "/model-proxy/v1/chat/completions"
OWN = "eyJhbGciOiJub25l.client-own-canary.c2ln"
"""A client's own sign-in, which the pretend Hub does not know."""
LOGS_OUT = ("401", "Invalid refresh token", "Unauthorized")
"""What makes VS Code end a session when it stands in the text of a refresh that failed."""
needs_strangers = pytest.mark.skipif(not AS_ROOT, reason="needs root to be another user")


@dataclass
class Place:
    """A Hub, a home that is logged in to it, and a daemon; `hub` forgets what it saw and is healed for each test."""

    server: HubServer
    home: Home
    daemon: RunningDaemon

    @property
    def hub(self) -> Hub:
        return self.server.hub


def quiet(daemon: RunningDaemon) -> None:
    """Wait for the pass with which a daemon begins."""
    eventually(lambda: b"answered," in daemon.log.read_bytes())


def head_of(request: bytes) -> dict[str, str]:
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: %HOST%", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
