"""From a config to a service: the store is opened and the account known; nothing listens yet.

The daemon begins here, and so does a command that finds no daemon running.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from math import inf

from hublet.config.loading import Config
from hublet.core.account import Account, check_key, origin_of
from hublet.core.errors import CredentialError, KeySourceError, StoreError, StoreLocked
from hublet.core.history import Retention
from hublet.core.lifetimes import SELDOM
from hublet.core.locking import is_restored
from hublet.core.pace import LONGEST_STRETCHED, Pace, stretched
from hublet.core.snapshot import Terms
from hublet.door import tokens
from hublet.door.audit import AuditFile, Syslog
from hublet.door.audit import file_name as audit_name
from hublet.keys.asking import Asker
from hublet.passes.plan import Plan
from hublet.passes.sync import Run, Sync
from hublet.serve.auditing import Audit, id_of
from hublet.serve.keysource import open_archive
from hublet.serve.noticing import Observer
from hublet.serve.overrides import Overrides
from hublet.serve.service import Following, Service, Unavailable, unavailable_by
from hublet.store.archive import Archive
from hublet.upstream.child import run_in_child
from hublet.upstream.order import Hub

log = logging.getLogger("hublet")


def open_service(
    config: Config,
    *,
    port: int = 0,
    environment: Mapping[str, str] = os.environ,
    run: Run = run_in_child,
    clock: Callable[[], float] = time.time,
    opening: bool = True,
) -> Service:
    """The service of a config.

    A store that can't be opened is left as it is, and the service's `unavailable` says why. Without `opening` the store
    is not opened, for commands that look after it or its key. Raises StoreLocked when another hublet has the store
    open.
    """
    asker = Asker(file=config.keys.passphrase_file, descriptor=config.keys.passphrase_fd)
    service = Service(config, clock=clock, port=port, started_at=clock(), asker=asker)
    service.take = lambda archive: _take(service, archive, environment, run)
    service.audit = Audit(
        AuditFile(config.locate().data / audit_name),
        clock,
        lambda question: id_of(service.archive.envelope, question) if service.archive is not None else "",
        syslog=lambda: Syslog() if service.config.audit.syslog else None,
    )
    if not opening:
        service.unavailable = Unavailable("the cache is not open")
        return service
    try:
        archive = open_archive(config, asker)
        try:
            service.take(archive)
        except BaseException:
            archive.close()
            raise
    except StoreLocked:
        raise
    except (StoreError, KeySourceError) as error:
        log.error("the cache can't be opened: %s", error.message)
        service.unavailable = unavailable_by(error)
    return service


def _take(service: Service, archive: Archive, environment: Mapping[str, str], run: Run) -> None:
    """Serve from an archive. While one is served already it is the same one with a new data key: then only what is
    made with that key, icon names and entity tags, is made anew."""
    if service.sync is not None:
        service.sync.configure(service.sync.plan, terms_of(service, archive))
        return
    config = service.config
    loaded = archive.load()
    archive.retention = Retention(config.history.keep, config.history.max_age)
    service.archive, service.lost_records = archive, loaded.lost
    service.tokens = tokens.all_from_plain(loaded.documents.get("tokens"))
    service.account = account_of(config, environment, loaded.documents.get("account"))
    service.sync = Sync(
        archive, loaded.state, plan_of(config, service.account), terms_of(service, archive), run, clock=service.clock
    )
    service.exporter = None
    exporter_of(service)
    service.overrides = Overrides(service.sync, config.secrets, service.clock, environment=environment)
    service.unavailable, service.forgotten = None, False
    if is_restored(loaded.state.ledger):
        log.warning("the cache is an older copy that was put back: no secret is served until `hublet store accept`")

    def logged_in() -> None:
        if service.sync is not None:
            service.sync.configure(plan_of(service.config, service.account), service.sync.terms)

    service.on_login.append(logged_in)
    Observer(service, service.sync)
    for listener in service.on_open:
        listener()


def exporter_of(service: Service) -> Following | None:
    """The service's Exporter, made when the config first wants files; None while it wants none or nothing is open."""
    if service.exporter is None and service.sync is not None and service.config.export.directory is not None:
        from hublet.serve.exporter import Exporter

        service.exporter = Exporter(service)
        service.sync.on_change.append(service.exporter.changed)
    return service.exporter


def terms_of(service: Service, archive: Archive) -> Terms:
    """What a Snapshot makes answers with, by the config as it is now."""
    envelope, config, port = archive.envelope, service.config, service.port or service.config.serve.port
    return Terms(
        icon=lambda url: f"http://localhost:{port}/icons/{envelope.icon_name(url)}",
        etag_key=envelope.etag_key,
        interval=config.sync.every,
        max_stale=config.secrets.max_stale,
        seldom=max(config.sync.every, min(SELDOM, _confirmed_within(config))),
        longest=max(stretched(config.sync.every, pace, _longest(config)) for pace in _paces(config)),
    )


def _paces(config: Config) -> tuple[Pace, Pace]:
    """The paces besides the normal one that passes may have."""
    return config.sync.on_battery, config.sync.unasked


def _longest(config: Config) -> float:
    """How many seconds a slow pace may leave between two passes."""
    return min(LONGEST_STRETCHED, _confirmed_within(config))


def _confirmed_within(config: Config) -> float:
    """Within how many seconds every record has to be confirmed, so that passes that come seldom let neither a secret's
    value expire nor /readyz say that hublet is not ready."""
    ready_within = config.serve.ready_within
    return min(config.secrets.max_stale, inf if ready_within is None else ready_within) / 2


def plan_of(config: Config, account: Account | None) -> Plan:
    """The plan for passes: the Hub at hub.url, with the account's key only if it belongs to the origin of that URL."""
    hub = Hub(
        url=config.hub.url,
        key=account.key_for(config.hub.url) if account is not None else None,
        ca_file=str(config.hub.ca_file) if config.hub.ca_file else None,
        timeout=config.hub.timeout,
        connect_timeout=config.hub.connect_timeout,
        size_limit=config.hub.size_limit,
        parallel=config.sync.parallel,
    )
    return Plan(
        hub,
        interval=config.sync.every,
        longest=_longest(config),
        proxied=config.sync.proxied,
        hold_commands=config.sync.hold_commands,
    )


def account_of(config: Config, environment: Mapping[str, str], kept: object) -> Account | None:
    """The account of CONTINUE_API_KEY, else the stored one, if it was stored for this Hub's origin. Raises
    CredentialError for a key in CONTINUE_API_KEY that can't be one."""
    origin = origin_of(config.hub.url)
    if environment.get("CONTINUE_API_KEY"):
        try:
            return Account(check_key(environment["CONTINUE_API_KEY"]), origin, from_environment=True)
        except CredentialError as error:
            raise CredentialError(f"CONTINUE_API_KEY: {error.message}", hint=error.hint) from None
    account = Account.from_plain(kept)
    if account is not None and account.origin != origin:
        log.warning("the stored key belongs to another Hub than hub.url: log in again")
        return None
    return account
