"""What a running daemon does besides answering: passes, the heartbeat, following the machine's state and the config.

None of it is needed for the first answers: the daemon loads this module in a thread while it answers already.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hublet.config.loading import Config
from hublet.core.account import Account, origin_of
from hublet.core.address import folder_of
from hublet.core.history import Retention
from hublet.following import Follower
from hublet.host.desktop import Desktop
from hublet.host.lean import load_scheduler
from hublet.host.notify import Notifier
from hublet.host.signature import Signature
from hublet.host.wake import WakeDetector
from hublet.opening import account_of, exporter_of, plan_of, terms_of
from hublet.reload import Reloader
from hublet.schedule import Passes
from hublet.serve.front import Front
from hublet.serve.reopening import Reopening
from hublet.serve.service import Service
from hublet.serve.status import one_line
from hublet.store.archive import Archive

log = logging.getLogger("hublet")


class Tending:
    """Transitions: (made) → start → (network_back | hub_back | hung_up)* → stop; all on one event loop.

    `file` is the config file, which is read again when its signature is no longer `seen`; `pulse` is how many seconds
    lie between two heartbeats.
    """

    def __init__(
        self,
        service: Service,
        front: Front,
        *,
        environment: Mapping[str, str],
        file: Path | None,
        seen: Signature | None,
        notifier: Notifier,
        pulse: float,
        clock: Callable[[], float],
    ) -> None:
        self._service, self._front, self._environment = service, front, environment
        self._notifier, self._pulse, self._clock = notifier, pulse, clock
        self._own_socket = service.config.serve.socket
        self._tasks: set[asyncio.Task[None]] = set()
        self._beat: asyncio.TimerHandle | None = None
        self._desktop = Desktop(environment, changed=self._surroundings_changed, back=self._network_back)
        self._passes = Passes(service, look=self._desktop.surroundings, told=self._tell_status)
        self._reopening = Reopening(service)
        self._follower = Follower(partial(self._passes.soon, afresh=True))
        self._reloader = self._reloading(file, seen) if file is not None else None
        self._wake = WakeDetector(clock(), time.monotonic())

    def start(self) -> None:
        """Begin everything, the first pass included."""
        load_scheduler()  # in the loop's thread, at a moment when nothing else is imported
        service = self._service
        service.on_open.append(self._begin)
        service.reopen = self._reopening.now
        service.on_let_go.append(self._passes.stop)
        if self._reloader is not None:
            self._reloader.start()
        self._follower.follow(folder_of(service.config.hub.url))
        if self._front.fixed and service.config.serve.port not in (0, service.port):
            service.config_pending = (self._held_port(),)
        self._beat = asyncio.get_running_loop().call_later(self._pulse, self.heartbeat)
        self._begin()

    async def stop(self) -> None:
        """End what runs, a pass included, and begin nothing more."""
        if self._reloader is not None:
            await self._reloader.stop()
        await self._follower.stop()
        await self._passes.stop()
        await self._desktop.close()
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Called by others

    def hub_back(self) -> None:
        """The Hub has answered a client."""
        self._passes.hub_back()

    def hung_up(self) -> None:
        """SIGHUP: read the config file again."""
        if self._reloader is not None:
            self._reloader.soon()

    def _network_back(self) -> None:
        self._passes.network_back()

    def _surroundings_changed(self) -> None:
        self._passes.arrange()

    def _tell_status(self) -> None:
        if self._notifier.listening:
            self._notifier.status(one_line(self._service))

    # Within

    def _begin(self) -> None:
        """Begin what needs an open store, if it is open: at the start, or later when it could be opened at last."""
        service = self._service
        if service.sync is None:
            return
        self._passes.begin()
        self._desktop.start()
        if service.overrides is not None:
            service.overrides.begin()
        if service.exporter is not None:
            service.exporter.soon()

    def heartbeat(self) -> None:
        """The one timer for everything that has to be looked at now and then: whether the machine was asleep, secrets
        that expire, the config file, the service manager's watchdog. The watchdog is told last, so that it hears
        nothing from a loop in which the rest fails."""
        service = self._service
        if self._beat is not None:
            self._beat.cancel()
        self._beat = asyncio.get_running_loop().call_later(self._pulse, self.heartbeat)
        sync, archive = service.sync, service.archive
        if self._wake.beat(self._clock(), time.monotonic()):
            self._passes.woken()
        self._desktop.look()
        if service.overrides is not None:
            service.overrides.look()
        if sync is not None:
            sync.republish_if_due()
            if sync.saving.due:
                self._keep(sync.save_again(), "save")
            service.look()
            if archive is not None and archive.untidy:
                self._keep(sync.tidy(), "tidy")
            if archive is not None and archive.uncounted:
                self._keep(asyncio.to_thread(archive.count), "count")
        elif self._reopening.due:
            self._keep(self._reopening.look(), "reopen")
        if self._reloader is not None:
            self._reloader.look()
        self._follower.look()
        service.events.beat()
        self._tell_status()
        self._notifier.alive()

    def _keep(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # A changed config

    def _reloading(self, file: Path, seen: Signature | None) -> Reloader:
        service = self._service
        places = service.config.locate()
        return Reloader(
            file,
            service,
            self._reconfigure,
            notifier=self._notifier,
            status=lambda: one_line(service),
            avoid=(places.data, places.runtime, places.key_file.parent),
            seen=seen,
        )

    async def _reconfigure(self, config: Config, changed: frozenset[str]) -> tuple[str, ...]:
        """Run with another config from now on, of which these keys differ; gives a line for each that has to wait for a
        restart. Raises PortTaken, StoreError, CredentialError; then nothing has changed.

        The account is found before anything changes, so that hub.url and the account belong together from the moment
        that the config is the running one.
        """
        service, front = self._service, self._front
        before = service.archive
        elsewhere = origin_of(config.hub.url) != origin_of(service.config.hub.url)
        account = await self._account_at(config, before) if elsewhere and before is not None else None
        held = front.fixed and config.serve.port not in (0, service.port)
        if "serve.port" in changed and not front.fixed:
            await front.move(config.serve.port)
        service.config = config
        if "log.level" in changed:
            logging.getLogger().setLevel(config.log.level.upper())
        sync, archive = service.sync, service.archive
        if elsewhere and archive is before:  # of another store, or of none any more, this account is not
            service.account = account
        if archive is not None:
            archive.retention = Retention(config.history.keep, config.history.max_age)
        if sync is not None and archive is not None and changed:
            if "hub.url" in changed:
                self._follower.follow(folder_of(config.hub.url))
            sync.configure(plan_of(config, service.account), terms_of(service, archive))
            if service.overrides is not None and any(name.startswith("secrets.") for name in changed):
                service.overrides.configure(config.secrets)
            exporter = exporter_of(service)
            if exporter is not None and any(name.startswith("export.") for name in changed):
                exporter.soon()
            if any(name.startswith("hub.") for name in changed):
                self._passes.soon(afresh=True)
            elif any(name.partition(".")[0] in ("sync", "secrets", "serve", "export") for name in changed):
                self._passes.arrange()
        moved = config.serve.socket != self._own_socket
        late = ("serve.socket: takes effect after a restart",) if moved else ()
        return (self._held_port(), *late) if held else late

    async def _account_at(self, config: Config, archive: Archive) -> Account | None:
        """The account for the Hub of a config that is about to run. Raises StoreError, CredentialError."""
        kept = (await asyncio.to_thread(archive.load)).documents.get("account")
        return account_of(config, self._environment, kept)

    def _held_port(self) -> str:
        return (
            f"serve.port: the service manager holds port {self._service.port}; "
            "`hublet service install` makes it take the configured one"
        )
