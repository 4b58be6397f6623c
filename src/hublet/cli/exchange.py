"""One request over the admin socket, and its answer as a whole: HTTP/1.1 in a few lines.

The standard library's client would do, but takes longer to load than hublet takes to answer.
"""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path


class Broken(Exception):
    """What came is no whole answer."""


def exchange(path: Path, method: str, target: str, body: bytes, patience: float) -> tuple[int, bytes]:
    """Status and body of an answer with a Content-Length, as hublet gives for all that is not a stream.

    `target` is a path without anything that would have to be quoted. Raises OSError (TimeoutError after `patience`
    seconds without a byte) and Broken.
    """
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"Content-Length: {len(body)}"] if body or method != "GET" else []
    with closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.settimeout(patience)
        sock.connect(str(path))
        sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii") + body)
        said = b"".join(iter(lambda: sock.recv(65536), b""))
    head, end, content = said.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    code = first.split(" ")[1:2]
    if not end or not first.startswith("HTTP/1.1 ") or not code or not code[0].isdigit():
        raise Broken
    if fields.get("content-length") != str(len(content)):
        raise Broken
    return int(code[0]), content
