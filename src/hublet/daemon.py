"""The life cycle: open the store, listen, sync, drain.

start   bind the loopback port (or take over sockets), open the store, answer; then the scheduler and the first pass
run     until SIGTERM or SIGINT; SIGHUP or a changed file reads the config anew
stop    accept no more, answer what is in work, end a running pass, close the store
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from hublet.config import Config
from hublet.core.address import folder_of
from hublet.core.history import Retention
from hublet.door.application import Limits
from hublet.door.binding import adopt_loopback
from hublet.door.listeners import Listener, bind_loopback, bind_unix
from hublet.following import Follower
from hublet.host.descriptors import Exhausted, connections_allowed
from hublet.host.desktop import Desktop
from hublet.host.notify import Notifier
from hublet.host.wake import WakeDetector
from hublet.opening import account_of, open_service, plan_of, terms_of
from hublet.passes import Passes
from hublet.reload import Reloader
from hublet.serve.admin import Admin
from hublet.serve.admission import Admission
from hublet.serve.api import Api
from hublet.serve.front import Front
from hublet.serve.reopening import Reopening
from hublet.serve.service import Service
from hublet.serve.status import one_line
from hublet.sync import Run
from hublet.upstream.child import run_in_child
from hublet.upstream.forward import Forwarder
from hublet.upstream.order import Hub

log = logging.getLogger("hublet")

HEARTBEAT = 30.0
_DRAIN = 5.0


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
        notifier: Notifier | None = None,
        handed_over: Sequence[int] = (),
    ) -> None:
        """`file` is the config's, to be read again when it changes; `handed_over` are descriptors to listen on."""
        self.config = config
        self._environment, self._run, self._clock = environment, run, clock
        self._file, self._notifier, self._handed_over = file, notifier or Notifier(), handed_over
        self._pulse = min(HEARTBEAT, (self._notifier.interval or HEARTBEAT * 3) / 3)
        # Two servers share what the process may have open: the loopback port's, and that of the Unix sockets.
        self._limits = Limits(connections=max(1, connections_allowed(2 * Limits().connections) // 2))
        self._listener = Listener(self._limits)
        self._stopping = asyncio.Event()
        self._beat: asyncio.TimerHandle | None = None
        self._passes: Passes | None = None
        self._desktop: Desktop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._front: Front | None = None
        self._on_unix: Admission | None = None
        self._admin: Admin | None = None
        self._own_socket = config.serve.socket
        self._forwarder: Forwarder | None = None
        self._reloader: Reloader | None = None
        self._follower: Follower | None = None
        self.service: Service | None = None
        self.on_service: list[Callable[[Service], None]] = []
        """Told of the service as soon as there is one."""

    @property
    def port(self) -> int:
        assert self.service is not None
        return self.service.port

    async def start(self) -> None:
        """Listen and answer from the cache, then begin to sync.

        Raises PortTaken, StoreLocked, StoreError (the data or runtime directory can't be used).
        """
        asyncio.get_running_loop().set_exception_handler(Exhausted())
        if self._file is not None:
            # From here to the end of the loop: by itself the signal would end the process.
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hung_up)
        handed_over = self._handed_over
        sockets = adopt_loopback(handed_over) if handed_over else bind_loopback(self.config.serve.port)
        try:
            port = sockets[0].getsockname()[1]
            service = self.service = open_service(
                self.config, port=port, environment=self._environment, run=self._run, clock=self._clock
            )
            for listener in self.on_service:
                listener(service)
            admin = bind_unix(self.config.locate().admin_socket)
            sockets.append(admin)
            own = bind_unix(self.config.serve.socket) if self.config.serve.socket is not None else None
            sockets.remove(admin)
        except BaseException:
            for sock in sockets:
                sock.close()
            if self.service is not None and self.service.archive is not None:
                self.service.archive.close()
            raise
        if service.overrides is not None:
            await service.overrides.refresh()  # before the first answer: it must not be another value for a moment
        self._forwarder = Forwarder(lambda: self._lent(service), answered=self._hub_back)
        self._front = Front(service, self._forwarder, fixed=bool(handed_over), limits=self._limits)
        await self._front.open(sockets)
        self._admin = Admin(service)
        await self._listener.serve(admin, self._admin)
        if own is not None:
            self._on_unix = Admission(service)
            await self._listener.serve(own, Api(service, self._on_unix, self._forwarder))
            log.info("listening on %s", self.config.serve.socket)
        log.info("listening on http://localhost:%d", port)
        service.asker.forget()
        self._desktop = Desktop(self._environment, changed=self._surroundings_changed, back=self._network_back)
        self._passes = Passes(service, look=self._desktop.surroundings, told=self._tell_status)
        service.on_open.append(self._begin)
        self._reopening = Reopening(service)
        service.reopen = self._reopening.now
        service.on_forget.append(self._passes.stop)
        service.on_forgotten.append(self._forwarder.forget)
        if self._file is not None:
            self._reloader = self._reloading(service, self._file)
        self._follower = Follower(partial(self._passes.soon, afresh=True))
        self._follower.follow(folder_of(self.config.hub.url))
        if handed_over and self.config.serve.port not in (0, port):
            service.config_pending = (self._held_port(),)
        self._wake = WakeDetector(self._clock(), time.monotonic())
        self._beat = asyncio.get_running_loop().call_later(self._pulse, self._heartbeat)
        self._begin()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT, or `stop`. SIGHUP reads the config file again."""
        assert self.service is not None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        self._notifier.ready(one_line(self.service))
        try:
            await self._stopping.wait()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        await self.stop()

    def _hung_up(self) -> None:
        if self._reloader is not None and not self._stopping.is_set():
            self._reloader.soon()

    async def stop(self) -> None:
        """Answer what is in work, end a running pass, close the store."""
        self._stopping.set()
        self._notifier.stopping()
        if self.service is not None:
            self.service.events.close()  # streams that would not end by themselves are not waited for
        if self._reloader is not None:
            await self._reloader.stop()
        if self._follower is not None:
            await self._follower.stop()
        if self._passes is not None:
            await self._passes.stop()
        if self._desktop is not None:
            await self._desktop.close()
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        if self._front is not None:
            await self._front.close()
        await self._listener.drain(_DRAIN)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._forwarder is not None:
            await self._forwarder.close()
        for door in (self._on_unix, self._admin):
            if door is not None:
                door.close()
        if self.service is not None and self.service.overrides is not None:
            await self.service.overrides.close()
        if self.service is not None and self.service.exporter is not None:
            await self.service.exporter.close()
        if self.service is not None and self.service.sync is not None:
            if self.service.sync.saving.due:
                await self.service.sync.save_again()
            await self.service.sync.close()
        if self.service is not None and self.service.audit is not None:
            await self.service.audit.close()
        if self.service is not None and self.service.archive is not None:
            self.service.archive.close()
        log.info("stopped")

    def _lent(self, service: Service) -> Hub:
        """The Hub as pass-through sees it: with the account's key only where the config lends it."""
        lend = self.config.serve.passthrough_as_account
        return plan_of(self.config, service.account if lend else None).hub

    # Syncing

    def _begin(self) -> None:
        assert self.service is not None
        if self._passes is None or self._desktop is None or self.service.sync is None:
            return
        self._passes.begin()
        self._desktop.start()
        if self.service.overrides is not None:
            self.service.overrides.begin()
        if self.service.exporter is not None:
            self.service.exporter.soon()

    def sync_soon(self) -> None:
        """Begin a pass now, unless one is running."""
        if self._passes is not None:
            self._passes.soon()

    def _hub_back(self) -> None:
        if self._passes is not None:
            self._passes.hub_back()

    def _network_back(self) -> None:
        if self._passes is not None:
            self._passes.network_back()

    def _surroundings_changed(self) -> None:
        if self._passes is not None:
            self._passes.arrange()

    def _tell_status(self) -> None:
        assert self.service is not None
        self._notifier.status(one_line(self.service))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _heartbeat(self) -> None:
        """One timer for all that has to be looked at now and then: waking, secrets that expire, the config file, and
        the service manager's watchdog. That one is fed last: not by a loop that can't do its work."""
        assert self.service is not None
        self._beat = asyncio.get_running_loop().call_later(self._pulse, self._heartbeat)
        sync, archive = self.service.sync, self.service.archive
        if self._wake.beat(self._clock(), time.monotonic()) and self._passes is not None:
            self._passes.woken()
        if self._desktop is not None:
            self._desktop.look()
        if self.service.overrides is not None:
            self.service.overrides.look()
        if sync is not None:
            sync.republish_if_due()
            if sync.saving.due:
                self._keep(asyncio.get_running_loop().create_task(sync.save_again(), name="save"))
            self.service.look()
            if archive is not None and archive.untidy:
                self._keep(asyncio.get_running_loop().create_task(sync.tidy(), name="tidy"))
            if archive is not None and archive.uncounted:
                self._keep(asyncio.get_running_loop().create_task(asyncio.to_thread(archive.count), name="count"))
        elif self._reopening.due:
            self._keep(asyncio.get_running_loop().create_task(self._reopening.look(), name="reopen"))
        if self._reloader is not None:
            self._reloader.look()
        if self._follower is not None:
            self._follower.look()
        self.service.events.beat()
        self._notifier.status(one_line(self.service))
        self._notifier.alive()

    # A changed config

    def _reloading(self, service: Service, file: Path) -> Reloader:
        places = self.config.locate()
        reloader = Reloader(
            file,
            service,
            self._reconfigure,
            notifier=self._notifier,
            status=lambda: one_line(service),
            avoid=(places.data, places.runtime, places.key_file.parent),
        )
        reloader.start()
        return reloader

    async def _reconfigure(self, config: Config, changed: frozenset[str]) -> tuple[str, ...]:
        """Run with another config from now on. Raises PortTaken; then nothing has changed."""
        service, front = self.service, self._front
        assert service is not None
        assert front is not None
        held = front.fixed and config.serve.port not in (0, service.port)
        if "serve.port" in changed and not front.fixed:
            await front.move(config.serve.port)
        self.config = service.config = config
        if "log.level" in changed:
            logging.getLogger().setLevel(config.log.level.upper())
        sync, archive = service.sync, service.archive
        if archive is not None:
            archive.retention = Retention(config.history.keep, config.history.max_age)
        if sync is not None and archive is not None and changed:
            if "hub.url" in changed:
                if self._follower is not None:
                    self._follower.follow(folder_of(config.hub.url))
                kept = (await asyncio.to_thread(archive.load)).documents.get("account")
                service.account = account_of(config, self._environment, kept)
            sync.configure(plan_of(config, service.account), terms_of(service, archive))
            if service.overrides is not None and any(name.startswith("secrets.") for name in changed):
                service.overrides.configure(config.secrets)
            if service.exporter is not None and any(name.startswith("export.") for name in changed):
                service.exporter.soon()
            if self._passes is not None and any(name.startswith("hub.") for name in changed):
                self._passes.soon(afresh=True)
            elif self._passes is not None and changed & {"sync.every", "sync.on_battery"}:
                self._passes.arrange()
        moved = config.serve.socket != self._own_socket
        late = ("serve.socket: takes effect after a restart",) if moved else ()
        return (self._held_port(), *late) if held else late

    def _held_port(self) -> str:
        return (
            f"serve.port: the service manager holds port {self.port}; "
            "`hublet service install` makes it take the configured one"
        )
