"""The API on the loopback port: opened on bound sockets, moved to another port, closed."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence

from hublet.door.application import Limits
from hublet.door.listeners import Listener, bind_loopback
from hublet.serve.admission import Admission
from hublet.serve.api import Api
from hublet.serve.events import Events
from hublet.serve.service import Service
from hublet.upstream.forward import Forwarder

log = logging.getLogger("hublet.serve")

_OVERLAP = 1.0
"""Seconds for which both ports are open when the port changes."""
_DRAIN = 5.0
"""Seconds that requests in work have to be answered when a port is given up."""


class Front:
    """Transitions: (made) → open → (move)* → close; all on one event loop.

    With `fixed` the sockets belong to a service manager, which alone can move them to another port.
    """

    def __init__(
        self, service: Service, forwarder: Forwarder, *, fixed: bool = False, limits: Limits | None = None
    ) -> None:
        self.fixed = fixed
        self._limits = limits
        self._service, self._forwarder = service, forwarder
        self._listener: Listener | None = None
        self._admission: Admission | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    async def open(self, sockets: Sequence[socket.socket]) -> None:
        """Answer on these sockets, which all have the same port. They are closed here from now on."""
        self._service.port = sockets[0].getsockname()[1]
        listener, admission = Listener(self._limits, counters=self._service.door), Admission(self._service)
        api = Api(self._service, admission, self._forwarder)
        for sock in sockets:
            await listener.serve(sock, api)
        self._listener, self._admission = listener, admission

    async def move(self, port: int) -> None:
        """Answer on another port. The old one is given up as soon as the new one answers, and requests in work there
        are still answered. Raises PortTaken; then nothing has changed."""
        await asyncio.gather(*self._retiring)  # the new port may be one that is still being given up
        sockets = bind_loopback(port)
        listener, admission = self._listener, self._admission
        await self.open(sockets)
        log.info("listening on http://localhost:%d from now on", port)
        if listener is not None and admission is not None:
            task = asyncio.create_task(_retire(listener, admission, self._service.events), name="old port")
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Accept no more connections and answer what is in work."""
        if self._listener is not None:
            await self._listener.drain(_DRAIN)
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        if self._admission is not None:
            self._admission.close()


async def _retire(listener: Listener, admission: Admission, events: Events) -> None:
    """Close the old port, after a moment for clients that are just connecting to it."""
    try:
        await asyncio.sleep(_OVERLAP)
        events.hang_up()
        await listener.drain(_DRAIN)
    except asyncio.CancelledError:
        await listener.drain(0)
        raise
    finally:
        admission.close()
