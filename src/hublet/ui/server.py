"""The life of the page's process: it listens on a free port, and ends when no page has been open for a while.

start   bind one free port on 127.0.0.1 and ::1, and make the code
run     until Ctrl-C or SIGTERM, or `idle` seconds without an open page, or when the code was not used in time
end     tell the open pages, and finish the requests in progress
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from hublet.door.application import Limits
from hublet.door.listeners import Listener, bind_loopback
from hublet.door.peer import Peers, token_required_because
from hublet.ui.admission import CODE_LIFE, Admission
from hublet.ui.asking import Daemon
from hublet.ui.examining import Doctor
from hublet.ui.page import Page

IDLE = 15 * 60.0
_DRAIN = 2.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LIMITS = Limits(connections=64, body_size=64 * 1024)
UNUSED, NOBODY, ASKED = "nobody has looked for a while", "nobody came", "it was asked to end"


class Server:
    """Transitions: (made) → start → run, once each; all on one event loop."""

    def __init__(
        self, admin_socket: Path, config: Path | None, *, idle: float = IDLE, code_life: float = CODE_LIFE
    ) -> None:
        self._daemon, self._doctor = Daemon(admin_socket), Doctor(config)
        self._idle, self._code_life = idle, code_life
        self._listener = Listener(_LIMITS)
        self._peers = Peers() if token_required_because(os.getuid()) is None else None
        self._ending: asyncio.Future[str] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._page: Page | None = None
        self.port = 0
        self.admission: Admission | None = None
        self.on_taken: list[Callable[[], None]] = []
        """Called when the code is used."""

    @property
    def url(self) -> str:
        """The link with the code in it: a secret until it is used."""
        assert self.admission is not None
        return f"http://localhost:{self.port}/#{self.admission.code}"

    async def start(self) -> None:
        """Begin to listen. Raises PortTaken when no port is free on both addresses."""
        loop = asyncio.get_running_loop()
        self._ending = loop.create_future()
        for number in _SIGNALS:  # before anybody knows the link: by default these signals would kill the process
            loop.add_signal_handler(number, self._end, ASKED)
        sockets = bind_loopback(0)
        self.port = sockets[0].getsockname()[1]
        self.admission = Admission(self.port, time.monotonic, life=self._code_life)
        self._page = Page(
            self.port, self.admission, self._daemon, self._doctor,
            peers=self._peers, taken=self._taken, changed=self._looked_at,
        )  # fmt: skip
        for sock in sockets:
            await self._listener.serve(sock, self._page)
        self._timer = loop.call_later(min(self._code_life, self._idle), self._unused)

    async def run(self) -> str:
        """Serve until the end. Returns why it came: UNUSED, NOBODY or ASKED."""
        assert self._ending is not None
        assert self._page is not None
        try:
            return await self._ending
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._page.end("this page has ended: run `hublet ui` again")
            await self._listener.drain(_DRAIN)
            if self._peers is not None:
                self._peers.close()
            for number in _SIGNALS:
                asyncio.get_running_loop().remove_signal_handler(number)

    def _end(self, why: str) -> None:
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(why)

    def _unused(self) -> None:
        assert self.admission is not None
        self._end(UNUSED if self.admission.taken else NOBODY)

    def _taken(self) -> None:
        for listener in self.on_taken:
            listener()
        self._looked_at(0)  # the page is loaded, and is about to open its stream of events

    def _looked_at(self, pages: int) -> None:
        """Note how many pages are open. While none is, the idle time runs."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if pages else asyncio.get_running_loop().call_later(self._idle, self._unused)
