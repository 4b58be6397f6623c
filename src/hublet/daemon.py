"""The life cycle: open the store, listen, sync, drain.

start   bind the loopback port, open the store, answer; then the scheduler and the first pass
run     until SIGTERM or SIGINT
stop    accept no more, answer what is in work, end a running pass, close the store
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hublet.config import Config
from hublet.core.account import Account, check_key, origin_of
from hublet.core.errors import KeySourceError, StoreError, StoreLocked
from hublet.core.pace import next_pass_in
from hublet.core.snapshot import Terms
from hublet.door.listeners import Listener, bind_loopback, bind_unix
from hublet.host.wake import WakeDetector
from hublet.keys import source_of
from hublet.serve.admin import Admin
from hublet.serve.admission import Admission
from hublet.serve.api import Api
from hublet.serve.service import Service, Unavailable, tokens_from_plain
from hublet.store.archive import Archive
from hublet.store.sealed import Store
from hublet.sync import Plan, Run, Sync
from hublet.upstream.child import run_in_child
from hublet.upstream.forward import Forwarder
from hublet.upstream.order import Hub

if TYPE_CHECKING:
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

log = logging.getLogger("hublet")

HEARTBEAT = 30.0
_DRAIN = 5.0
_SHORT = 300.0
"""For how long what changes by the minute (the trial status) is fresh, in seconds."""


def open_service(
    config: Config,
    *,
    port: int = 0,
    environment: Mapping[str, str] = os.environ,
    run: Run = run_in_child,
    clock: Callable[[], float] = time.time,
) -> Service:
    """The service of a config: its store opened, its account known, nothing listening yet.

    A store that can't be opened makes a service that says so; it is left as it is. Raises StoreLocked when another
    hublet has it.
    """
    service = Service(config, clock=clock, port=port, started_at=clock())
    try:
        store = Store.open(config.locate().data, source_of(config.keys.source, config.locate().key_file))
        archive = Archive(store)
        loaded = archive.load()
    except StoreLocked:
        raise
    except (StoreError, KeySourceError) as error:
        log.error("the cache can't be opened: %s", error.message)
        service.unavailable = Unavailable(error.message, error.hint)
        return service
    service.archive, service.lost_records = archive, loaded.lost
    service.tokens = tokens_from_plain(loaded.documents.get("tokens"))
    service.account = _account(config, environment, loaded.documents.get("account"))
    envelope = archive.envelope

    def terms() -> Terms:
        return Terms(
            icon=lambda url: f"http://localhost:{service.port or config.serve.port}/icons/{envelope.icon_name(url)}",
            etag_key=envelope.etag_key,
            interval=config.sync.every,
            short_interval=min(_SHORT, config.sync.every),
            max_stale=config.secrets.max_stale,
        )

    service.sync = Sync(archive, loaded.state, plan_of(config, service.account), terms(), run, clock=clock)

    def logged_in() -> None:
        if service.sync is not None:
            service.sync.configure(plan_of(config, service.account), service.sync.terms)

    service.on_login.append(logged_in)
    return service


def plan_of(config: Config, account: Account | None) -> Plan:
    hub = Hub(
        url=config.hub.url,
        key=account.key if account is not None else None,
        ca_file=str(config.hub.ca_file) if config.hub.ca_file else None,
        timeout=config.hub.timeout,
        connect_timeout=config.hub.connect_timeout,
        size_limit=config.hub.size_limit,
        parallel=config.sync.parallel,
    )
    return Plan(hub, interval=config.sync.every, proxied=config.sync.proxied)


def _account(config: Config, environment: Mapping[str, str], kept: object) -> Account | None:
    """CONTINUE_API_KEY first; else the stored key, if it was stored for this Hub's origin."""
    origin = origin_of(config.hub.url)
    if environment.get("CONTINUE_API_KEY"):
        return Account(check_key(environment["CONTINUE_API_KEY"]), origin, from_environment=True)
    account = Account.from_plain(kept)
    if account is not None and account.origin != origin:
        log.warning("the stored key belongs to another Hub than hub.url: log in again")
        return None
    return account


class Daemon:
    """A running hublet. Transitions: start → (run) → stop, once each; all on one event loop."""

    def __init__(
        self,
        config: Config,
        *,
        environment: Mapping[str, str] = os.environ,
        run: Run = run_in_child,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self._environment, self._run, self._clock = environment, run, clock
        self._listener = Listener()
        self._stopping = asyncio.Event()
        self._scheduler: AsyncIOScheduler | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._passes: set[asyncio.Task[None]] = set()
        self._admission: Admission | None = None
        self._forwarder: Forwarder | None = None
        self.service: Service | None = None

    @property
    def port(self) -> int:
        assert self.service is not None
        return self.service.port

    async def start(self) -> None:
        """Listen and answer from the cache, then begin to sync.

        Raises PortTaken, StoreLocked, StoreError (the data or runtime directory can't be used).
        """
        sockets = bind_loopback(self.config.serve.port)
        try:
            port = sockets[0].getsockname()[1]
            service = self.service = open_service(
                self.config, port=port, environment=self._environment, run=self._run, clock=self._clock
            )
            admin = bind_unix(self.config.locate().admin_socket)
        except BaseException:
            for sock in sockets:
                sock.close()
            if self.service is not None and self.service.archive is not None:
                self.service.archive.close()
            raise
        self._admission = Admission(service)
        self._forwarder = Forwarder(lambda: self._lent(service))
        api = Api(service, self._admission, self._forwarder)
        for sock in sockets:
            await self._listener.serve(sock, api)
        await self._listener.serve(admin, Admin(service))
        log.info("listening on http://localhost:%d", port)
        self._begin()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT, or `stop`."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        try:
            await self._stopping.wait()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        await self.stop()

    async def stop(self) -> None:
        """Answer what is in work, end a running pass, close the store."""
        self._stopping.set()
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        await self._listener.drain(_DRAIN)
        for task in self._passes:
            task.cancel()
        await asyncio.gather(*self._passes, return_exceptions=True)
        if self._forwarder is not None:
            await self._forwarder.close()
        if self._admission is not None:
            self._admission.close()
        if self.service is not None and self.service.sync is not None:
            await self.service.sync.close()
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
        if self.service.sync is None:
            return
        from apscheduler.schedulers.asyncio import AsyncIOScheduler

        # A laptop that slept through its time syncs when it wakes, once: the default would skip the job after a second.
        self._scheduler = AsyncIOScheduler(job_defaults={"misfire_grace_time": None, "coalesce": True})
        self._scheduler.start()
        self.service.on_login.append(self.sync_soon)
        self._wake = WakeDetector(self._clock(), time.monotonic())
        self._beat = asyncio.get_running_loop().call_later(HEARTBEAT, self._heartbeat)
        self.sync_soon()

    def sync_soon(self) -> None:
        """Begin a pass now, unless one is running."""
        self._keep(asyncio.get_running_loop().create_task(self._sync(), name="scheduled pass"))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._passes.add(task)
        task.add_done_callback(self._passes.discard)

    async def _sync(self) -> None:
        assert self.service is not None
        sync = self.service.sync
        assert sync is not None
        try:
            if sync.plan.hub.key is not None:
                summary = await sync.run_pass()
                for problem in summary.problems:
                    log.warning("%s", problem)
                log.info(
                    "pass: %d of %d answered, %d added, %d changed, %d withdrawn, %.1f s",
                    summary.answered, summary.asked, summary.added, summary.changed, summary.withdrawn, summary.took,
                )  # fmt: skip
        except Exception:
            log.exception("a pass failed")
        finally:
            self._schedule(sync)

    def _schedule(self, sync: Sync) -> None:
        if self._scheduler is None or self.service is None:
            return
        from datetime import UTC, datetime, timedelta

        chance = random.random()  # noqa: S311  jitter, not a secret
        wait = next_pass_in(sync.state.ledger, self._clock(), interval=sync.plan.interval, chance=chance)
        self.service.next_pass_at = self._clock() + wait
        when = datetime.now(UTC) + timedelta(seconds=wait)
        self._scheduler.add_job(self.sync_soon, "date", run_date=when, id="pass", replace_existing=True)

    def _heartbeat(self) -> None:
        """One timer for all that has to be looked at now and then: waking, and secrets that expire."""
        assert self.service is not None
        assert self.service.sync is not None
        if self._wake.beat(self._clock(), time.monotonic()):
            log.info("the machine was asleep: syncing")
            self.sync_soon()
        self.service.sync.republish_if_due()
        if self.service.archive is not None and self.service.archive.untidy:
            self._keep(asyncio.get_running_loop().create_task(self.service.sync.tidy(), name="tidy"))
        self._beat = asyncio.get_running_loop().call_later(HEARTBEAT, self._heartbeat)
