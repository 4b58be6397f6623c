"""The facts for `hublet doctor`, from the process that has the cache open: the daemon, else the command itself.

They hold no secret value, and gathering them changes nothing; the doctor decides what they mean. `probe` asks the Hub
here, because the account's key does not leave this process.
"""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import sys
from collections.abc import Mapping
from typing import Any, assert_never

from hublet.core import operations as ops
from hublet.core.errors import HubletError
from hublet.core.outcomes import Answered, Malformed, NotModified, Outcome, Refused, Throttled, Unreachable
from hublet.core.pace import asked_to_wait
from hublet.door.peer import token_required_because
from hublet.host.hardening import is_dumpable
from hublet.passes.sync import Sync
from hublet.serve.secrets import entries, state_of
from hublet.serve.service import Service
from hublet.serve.status import status
from hublet.upstream.order import WorkOrder

NETWORK = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""The environment variables for proxies and certificates. As in other programs, lower-case names go first."""


async def examine(service: Service) -> dict[str, object]:
    """The status (serve/status.py), and `process`, `places`, `store` and `secrets` from the functions below."""
    return {
        "status": status(service),
        "process": _process(),
        "places": _places(service),
        "store": await asyncio.to_thread(_store, service),
        "secrets": _secrets(service),
    }


async def probe(service: Service) -> dict[str, object]:
    """Ask the Hub for the organizations, with the account's key, and keep nothing of its answer. Raises HubletError
    while the cache is not open."""
    return _told(await _asked(service.opened(), ops.ListOrganizations(), service.clock()))


async def _asked(sync: Sync, operation: ops.Operation, now: float) -> Outcome:
    """What the Hub says to one Operation. It is not asked without a key, or while it has asked to wait."""
    if sync.plan.hub.closed:
        return Unreachable("no key is stored")
    if (pause := asked_to_wait(sync.state.ledger, now)) > 0:
        return Throttled(pause)
    report = await sync.read(WorkOrder(sync.plan.hub, whole=False, ask=(operation,)))
    return next((outcome for _, outcome in report.outcomes), Unreachable("the asking broke off"))


def _told(outcome: Outcome) -> dict[str, object]:
    match outcome:
        case Answered() | NotModified():
            return {"outcome": "answered", "detail": ""}
        case Refused(status, message):
            return {"outcome": "refused", "status": status, "detail": message}
        case Throttled(retry_after):
            return {"outcome": "throttled", "detail": f"{retry_after or 0:.0f} s"}
        case Unreachable(reason):
            return {"outcome": "unreachable", "detail": reason}
        case Malformed(reason):
            return {"outcome": "malformed", "detail": reason}
        case _:
            assert_never(outcome)


def _process() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "uid": os.getuid(),
        "python": platform.python_version(),
        "prefix": sys.prefix,
        "core_limit": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "dumpable": is_dumpable(),
        "token_required": token_required_because(),
        "network": network_of(os.environ),
    }


def without_sign_in(proxy: str) -> str:
    """A proxy's URL without the user name and password in it."""
    scheme, slashes, rest = proxy.rpartition("//")
    return f"{scheme}{slashes}{rest.rpartition('@')[2]}"


def network_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of NETWORK that an environment sets, without a proxy's user name and password."""
    return {
        name: without_sign_in(value) if name in NETWORK[:3] else value
        for name in NETWORK
        if (value := environment.get(name.lower()) or environment.get(name, ""))
    }


def _places(service: Service) -> dict[str, object]:
    places = service.config.locate()
    return {"data": str(places.data), "runtime": str(places.runtime), "hub": service.config.hub.url}


def _store(service: Service) -> dict[str, Any] | None:
    """None while the store is not open. Every record is read from the disk and checked against the manifest."""
    archive = service.archive
    if archive is None:
        return None
    value: dict[str, Any] = {
        "source": archive.header.source,
        "since": archive.header.since,
        "format": archive.header.format,
        "misplaced": archive.misplaced,
        "count_problem": archive.counting[1],
        "problem": "",
        "hint": "",
    }
    try:
        value["unreadable"] = archive.verify()
    except HubletError as error:
        value |= {"problem": error.message, "hint": error.hint, "unreadable": 0}
    return value | {"generation": archive.generation}


def _secrets(service: Service) -> list[dict[str, object]]:
    sync = service.sync
    if sync is None:
        return []
    now, snapshot = service.clock(), sync.snapshot
    known = {id_: slug for id_, slug, _ in snapshot.organizations()}
    found: list[dict[str, object]] = []
    for entry in entries(snapshot):
        times = [at for question in entry.questions if (at := snapshot.confirmed_at(question)) is not None]
        found.append(
            {
                "name": entry.name,
                "scope": known.get(entry.scope, entry.scope) if entry.scope else None,
                "state": state_of(entry, snapshot, now),
                "referred_by": list(entry.referred),
                "expires_in": min(times) + service.config.secrets.max_stale - now if times else None,
            }
        )
    return found
