"""`hublet ui` as a process of the home's user, and what it printed."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.running import AS_ROOT, HUBLET, Answer, Home

PATIENCE = 60.0


@dataclass
class Shown:
    """A page that is served: `url` is the link with its code, `log` what the process said."""

    home: Home
    process: subprocess.Popen[bytes]
    url: str
    log: Path
    halves: dict[str, str] = field(default_factory=dict)
    """What a page that was admitted sends along, once `enter` has got it."""

    @property
    def origin(self) -> str:
        return self.url.partition("/#")[0]

    @property
    def port(self) -> int:
        return int(self.origin.rpartition(":")[2])

    @property
    def code(self) -> str:
        return self.url.partition("#")[2]

    def ask(
        self,
        method: str,
        path: str,
        value: object = None,
        headers: Mapping[str, str | None] | None = None,
        *,
        uid: int | None = None,
    ) -> Answer:
        """One request as the page's script makes it, by the page's own user or `uid`. A header that is None is left
        out."""
        connection = self.connection(uid)
        try:
            self.send(connection, method, path, value, headers)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def connection(self, uid: int | None = None) -> http.client.HTTPConnection:
        """One whose owner, for the kernel, is the page's own user: root gives its socket away before it connects."""
        connection = http.client.HTTPConnection("localhost", self.port, timeout=PATIENCE)
        opened = connection.sock = socket.socket()
        opened.settimeout(PATIENCE)
        if AS_ROOT:
            os.fchown(opened.fileno(), *[self.home.uid if uid is None else uid] * 2)
        opened.connect(("127.0.0.1", self.port))
        return connection

    def send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        value: object = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> None:
        sent: dict[str, str | None] = {"Sec-Fetch-Site": "same-origin", **self.halves}
        if method == "POST":
            sent |= {"Origin": self.origin, "Content-Type": "application/json"}
        sent |= headers or {}
        body = json.dumps({} if value is None else value) if method == "POST" else None
        connection.request(method, path, body, {name: text for name, text in sent.items() if text is not None})

    def enter(self) -> None:
        """Use the code, as the page's script does."""
        answer = self.ask("POST", "/session", {"code": self.code})
        assert answer.status == 200, answer.body
        word: Any = answer.json()
        self.halves = {"Cookie": answer.headers["set-cookie"].partition(";")[0], "Hublet-Page": word["word"]}

    def get(self, path: str) -> Any:
        answer = self.ask("GET", f"/api/{path}")
        assert answer.status == 200, answer.body
        return answer.json()

    def post(self, path: str, value: object = None) -> Any:
        answer = self.ask("POST", f"/api/{path}", value)
        assert answer.status == 200, answer.body
        return answer.json()

    @contextmanager
    def events(self) -> Iterator[Iterator[tuple[str, Any]]]:
        """The stream, an event after the other."""
        connection = self.connection()
        try:
            self.send(connection, "GET", "/api/events")
            response = connection.getresponse()
            assert response.status == 200
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            yield _events(response)
        finally:
            connection.close()


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    kind = ""
    while line := response.readline():
        if line.startswith(b"event: "):
            kind = line[7:].decode().strip()
        elif line.startswith(b"data: "):
            yield kind, json.loads(line[6:])


@contextmanager
def page(home: Home, *words: str, env: Mapping[str, str] | None = None, browser: bool = False) -> Iterator[Shown]:
    """Serve the page until the end of the block; nothing of it may end in a traceback."""
    log = home.path / f"ui-{time.monotonic_ns()}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            home.command(*HUBLET, "ui", *([] if browser else ["--no-browser"]), *words),
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=home.env(**(env or {})), cwd=home.path,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while (found := re.search(r"http://localhost:\d+/#[\w-]{43}", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "the page did not say its link"
            time.sleep(0.02)
        yield Shown(home, process, found[0], log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
    assert "Traceback" not in log.read_text(), log.read_text()
