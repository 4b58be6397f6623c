"""What only hublet says on its port: whether the one who listens there is the one behind the admin socket.

A TCP client can't tell who listens. Both doors of the daemon know one random key: the answer that the Unix socket
gives to a random word has to come from the port too.
"""

from __future__ import annotations

import http.client
import socket
import urllib.request

LOOPBACK = ("127.0.0.1", "::1")

open_here = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
"""Opens a URL here: never through a proxy, which would ask its own machine."""


def said_at(address: str, port: int, nonce: str, *, timeout: float = 5.0) -> str:
    """The answer of whoever listens; empty when there is none."""
    host = f"[{address}]" if ":" in address else address
    try:
        with open_here(f"http://{host}:{port}/hublet/v1/proof/{nonce}", timeout=timeout) as answer:
            return str(answer.read(200).decode(errors="replace"))
    except (OSError, http.client.HTTPException):
        return ""


def has_ipv6() -> bool:
    """Whether this machine has the address ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
