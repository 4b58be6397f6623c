"""Checks that the program that listens on the port is the hublet behind the admin socket.

A TCP client can't tell who listens. The daemon has a random key, which it uses at both its doors: port and admin socket
have to give the same answer to a random word.
"""

from __future__ import annotations

import http.client
import socket
import urllib.request

LOOPBACK = ("127.0.0.1", "::1")

open_here = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
"""Opens a URL without a proxy, which would ask its own machine."""


def said_at(address: str, port: int, nonce: str, *, timeout: float = 5.0) -> str:
    """The answer to the random word `nonce` of whatever listens at an address; empty when there is no answer."""
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
