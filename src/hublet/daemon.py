"""The daemon's life cycle.

start   bind the loopback port (or take over a service manager's sockets), open the store, answer; then load and begin
        everything else (tending.py), the first pass included
run     until SIGTERM or SIGINT; SIGHUP or a changed file reads the config again
stop    accept no more connections, answer requests in work, end a running pass, close the store
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from hublet.config.loading import Config
from hublet.door.application import Limits
from hublet.door.binding import adopt_loopback
from hublet.door.listeners import Listener, bind_loopback, bind_unix
from hublet.host.descriptors import Exhausted, connections_allowed
from hublet.host.notify import Notifier
from hublet.host.signature import Signature, signature
from hublet.opening import open_service, plan_of
from hublet.passes.sync import Run
from hublet.serve.admission import Admission
from hublet.serve.api import Api
from hublet.serve.front import Front
from hublet.serve.service import Service
from hublet.serve.status import one_line
from hublet.upstream.child import run_in_child
from hublet.upstream.forward import Forwarder
from hublet.upstream.order import Hub

if TYPE_CHECKING:
    from hublet.serve.admin import Admin
    from hublet.tending import Tending

log = logging.getLogger("hublet")

HEARTBEAT = 30.0
_DRAIN = 5.0
_ENDING = (signal.SIGTERM, signal.SIGINT)
_LATER = ("hublet.serve.admin", "hublet.store.check", "hublet.tending")
"""Modules that the first answers don't need. Each is imported in a thread while the daemon answers already."""


class Daemon:
    """A running hublet. Transitions: start → (run) → stop, once each; all on one event loop."""

    def __init__(
        self,
        config: Config,
        *,
        environment: Mapping[str, str] = os.environ,
        run: Run = run_in_child,
        clock: Callable[[], float] = time.time,
        file: Path | None = None,
        seen: Signature | None = None,
        notifier: Notifier | None = None,
        handed_over: Sequence[int] = (),
    ) -> None:
        """`file` is the config file, which is read again when its signature is no longer `seen`, the one from before
        `config` was read (by default its signature now). `handed_over` are descriptors of a service manager's sockets;
        `run` carries out passes."""
        self._config = config
        self._environment, self._run, self._clock = environment, run, clock
        self._file, self._notifier, self._handed_over = file, notifier or Notifier(), handed_over
        self._seen = signature(file) if seen is None and file is not None else seen
        self._pulse = min(HEARTBEAT, (self._notifier.interval or HEARTBEAT * 3) / 3)
        # The loopback port and the Unix sockets have a server each; they share the process's limit of descriptors.
        self._limits = Limits(connections=max(1, connections_allowed(2 * Limits().connections) // 2))
        self._listener = Listener(self._limits)
        self._stopping = asyncio.Event()
        self._front: Front | None = None
        self._on_unix: Admission | None = None
        self._admin: Admin | None = None
        self._admin_socket: socket.socket | None = None
        self._forwarder: Forwarder | None = None
        self._early = False
        self.tending: Tending | None = None
        self.service: Service | None = None
        self.on_service: list[Callable[[Service], None]] = []
        """Called with the service as soon as there is one."""

    @property
    def port(self) -> int:
        assert self.service is not None
        return self.service.port

    @property
    def config(self) -> Config:
        """The config as it is now: a changed one may have been taken over."""
        return self.service.config if self.service is not None else self._config

    async def start(self) -> None:
        """Listen and answer from the cache, then begin to sync.

        Raises PortTaken, StoreLocked, StoreError (the data or runtime directory can't be used).
        """
        asyncio.get_running_loop().set_exception_handler(Exhausted())
        if self._file is not None:
            # For as long as the loop runs: without a handler the signal would end the process.
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hung_up)
        service = await self._answer()
        for module in _LATER:
            await asyncio.to_thread(import_module, module)
        from hublet.serve.admin import Admin
        from hublet.tending import Tending

        assert self._front is not None
        assert self._admin_socket is not None
        self._admin = Admin(service)
        await self._listener.serve(self._admin_socket, self._admin)
        self._admin_socket = None
        self.tending = Tending(
            service,
            self._front,
            environment=self._environment,
            file=self._file,
            seen=self._seen,
            notifier=self._notifier,
            pulse=self._pulse,
            clock=self._clock,
        )
        self.tending.start()
        if self._early:
            self.tending.hung_up()

    async def _answer(self) -> Service:
        """Bind, open the store, and answer, with nothing before the first answers that they don't need."""
        handed_over = self._handed_over
        sockets = adopt_loopback(handed_over) if handed_over else bind_loopback(self.config.serve.port)
        try:
            port = sockets[0].getsockname()[1]
            service = self.service = open_service(
                self.config, port=port, environment=self._environment, run=self._run, clock=self._clock
            )
            for listener in self.on_service:
                listener(service)
            self._admin_socket = bind_unix(self.config.locate().admin_socket)
            own = bind_unix(self.config.serve.socket) if self.config.serve.socket is not None else None
        except BaseException:
            for sock in (*sockets, self._admin_socket):
                if sock is not None:
                    sock.close()
            if self.service is not None and self.service.archive is not None:
                self.service.archive.close()
            raise
        if service.overrides is not None:
            await service.overrides.refresh()  # before the first answer, which else could hold the Hub's value
        self._forwarder = Forwarder(lambda: self._lent(service), answered=self._hub_back)
        service.on_forgotten.append(self._forwarder.forget)
        self._front = Front(service, self._forwarder, fixed=bool(handed_over), limits=self._limits)
        await self._front.open(sockets)
        if own is not None:
            self._on_unix = Admission(service)
            await self._listener.serve(own, Api(service, self._on_unix, self._forwarder))
            log.info("listening on %s", self.config.serve.socket)
        log.info("listening on http://localhost:%d", port)
        service.asker.forget()
        return service

    def heed_signals(self) -> None:
        """From now on SIGTERM and SIGINT make `run` end in order."""
        for number in _ENDING:
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)

    async def run(self) -> None:
        """Wait for SIGTERM, SIGINT or `stop`, then stop. SIGHUP reads the config file again."""
        assert self.service is not None
        self.heed_signals()
        self._notifier.ready(one_line(self.service))
        try:
            await self._stopping.wait()
        finally:
            for number in _ENDING:
                asyncio.get_running_loop().remove_signal_handler(number)
        await self.stop()

    def _hung_up(self) -> None:
        if self.tending is None:
            self._early = True  # the signal came while tending.py is being loaded
        elif not self._stopping.is_set():
            self.tending.hung_up()

    def _hub_back(self) -> None:
        if self.tending is not None:
            self.tending.hub_back()

    async def stop(self) -> None:
        """Answer requests in work, end a running pass, close the store."""
        self._stopping.set()
        self._notifier.stopping()
        service = self.service
        if service is not None:
            service.events.close()  # streams of events would not end by themselves
        if self.tending is not None:
            await self.tending.stop()
        if self._front is not None:
            await self._front.close()
        await self._listener.drain(_DRAIN)
        if self._forwarder is not None:
            await self._forwarder.close()
        for door in (self._on_unix, self._admin):
            if door is not None:
                door.close()
        if service is not None:
            await service.close()
        log.info("stopped")

    def _lent(self, service: Service) -> Hub:
        """The Hub for pass-through: with the account's key only where `serve.passthrough_as_account` lends it."""
        lend = self.config.serve.passthrough_as_account
        return plan_of(self.config, service.account if lend else None).hub
