"""The server: accepts connections on bound sockets, owns them, enforces their time limits, drains them at the end."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

from hublet.core.messages import Response, error_response
from hublet.door.application import Application, Counters, Limits
from hublet.door.binding import bind_loopback, bind_unix
from hublet.door.http1 import Http1

__all__ = ["Listener", "bind_loopback", "bind_unix"]

_turns_to_open = 5
"""How many turns of the event loop are waited for `connection_made` after an accept: asyncio needs fewer."""

no_room = error_response(503, "too many connections")


class Listener:
    """Serves applications on sockets until it is drained.

    Time limits need no timer for each request. One sweep checks every connection at the earliest time at which one of
    them can have been too slow, at most once in `sweep_time` seconds. Without connections there is no timer.
    """

    def __init__(
        self, limits: Limits | None = None, *, counters: Counters | None = None, sweep_time: float = 1.0
    ) -> None:
        """`counters` go on from where another listener was; they begin at zero when left out."""
        self.limits = limits or Limits()
        self.counters = counters or Counters()
        self._sweep_time = sweep_time
        self._servers: list[asyncio.AbstractServer] = []
        self._paths: list[tuple[Path, int]] = []
        self._connections: dict[Http1, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._swept = -inf
        self._draining = False
        self._empty: asyncio.Future[None] | None = None

    async def serve(self, sock: socket.socket, application: Application) -> None:
        """Accept on a bound socket and answer with `application`. The listener closes the socket when it is drained."""
        loop = asyncio.get_running_loop()

        def factory() -> Http1:
            return Http1(application, self, self.limits)

        if sock.family == socket.AF_UNIX:
            self._paths.append(_named(sock))
            options: dict[str, Any] = {"backlog": 512}
            self._servers.append(await loop.create_unix_server(factory, sock=sock, **options))
        else:
            self._servers.append(await loop.create_server(factory, sock=sock, backlog=512))

    def __len__(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def sweeping(self) -> bool:
        """Whether a timer is set; never while there are no connections."""
        return self._timer is not None

    # -- called by connections -----------------------------------------------------------------------------------------

    def opened(self, connection: Http1) -> Response | None:
        """A connection was accepted. A Response that is returned turns it away."""
        self._connections[connection] = None
        self.counters.connections += 1
        if len(self._connections) > self.limits.connections and not self._make_room(connection):
            self.counters.turned_away += 1
            return no_room
        self.watch(asyncio.get_running_loop().time() + self.limits.idle_time)
        return None

    def _make_room(self, new: Http1) -> bool:
        """Close the connection that has waited longest without a request in work, and return whether there was one.

        Connections whose head is still coming count as waiting, and so do those of clients that nobody knows, whatever
        they do. So whoever holds many connections open to keep others out loses the oldest of them.
        """
        oldest = min(self._connections, key=lambda c: inf if c is new else c.waits)
        if oldest is new or oldest.waits == inf:
            return False
        self.counters.evicted += 1
        del self._connections[oldest]  # counted as gone now; `closed` is called in a later turn of the loop
        oldest.evict()
        return True

    def closed(self, connection: Http1) -> None:
        self._connections.pop(connection, None)
        if not self._connections:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._empty is not None and not self._empty.done():
                self._empty.set_result(None)

    def watch(self, deadline: float) -> None:
        """Sweep at `deadline` (of the loop's clock) or before; later only where the last sweep was under `sweep_time`
        ago."""
        if deadline == inf or not self._connections:
            return
        when = max(deadline, self._swept + self._sweep_time)
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        self._swept = now = asyncio.get_running_loop().time()
        self.watch(min((connection.check(now) for connection in list(self._connections)), default=inf))

    # -- the end -------------------------------------------------------------------------------------------------------

    async def drain(self, seconds: float) -> bool:
        """Accept no more connections, close idle ones (new ones after `first_time`), give requests in work `seconds` to
        be answered, then cut off what is left. Returns whether everything was answered."""
        loop = asyncio.get_running_loop()
        for server in self._servers:
            for sock in server.sockets if isinstance(server, asyncio.Server) else ():
                loop.remove_reader(sock)
        # A client that was accepted just now becomes a connection first: asyncio drops it when the server is closed
        # between its accept and its `connection_made`.
        for _ in range(_turns_to_open):
            await asyncio.sleep(0)
        self._draining = True
        for server in self._servers:
            server.close()
        for path, inode in self._paths:
            with suppress(FileNotFoundError):
                if path.stat().st_ino == inode:  # otherwise another hublet has taken the path over
                    path.unlink()
        for connection in list(self._connections):
            if connection.is_new:
                loop.call_later(self.limits.first_time, connection.drain)
            else:
                connection.drain()
        whole = await self._wait_empty(seconds)
        for connection in list(self._connections):
            connection.evict(abort=True)
        await self._wait_empty(1.0)
        return whole

    async def _wait_empty(self, seconds: float) -> bool:
        if self._connections:
            self._empty = asyncio.get_running_loop().create_future()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty, seconds)
        await asyncio.sleep(0)
        return not self._connections


def _named(sock: socket.socket) -> tuple[Path, int]:
    """A Unix socket's path, and the inode of the file that is there now."""
    path = Path(sock.getsockname())
    return path, path.stat().st_ino
