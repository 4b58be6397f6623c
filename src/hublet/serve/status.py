"""The status: what is cached, how old it is and what is wrong, as JSON for `hublet status` and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from hublet import __version__
from hublet.core.account import origin_of
from hublet.core.naming import name_of, names_by_id
from hublet.core.pins import pins
from hublet.core.questions import Assistant, Organizations, Policy, Question, Roster, Secret
from hublet.core.records import Record
from hublet.core.state import members
from hublet.core.telling import READABLE, State
from hublet.passes.sync import Sync
from hublet.serve.service import Service


def status(service: Service) -> dict[str, object]:
    """The whole status. It holds no secret value.

    Times are in seconds: `..._at` and `..._since` on the wall clock, ages and `..._in` counted from now. `state` is one
    of: ok, offline (the last pass brought nothing), locked, logged-out, starting, unavailable. `state_since` is null in
    a command without a daemon, which has not seen when the state began. `last_error` is the newest trouble with the
    Hub, whether it is over or not. While the cache is not open, there is only what `_of_the_process` gives.
    """
    now, sync = service.clock(), service.sync
    see(service)
    value = _of_the_process(service)
    if sync is None:
        return value
    names = names_by_id(sync.snapshot.organizations())
    return value | {
        **_of_the_passes(service, sync, now),
        **_of_the_cache(service, sync),
        "requests": _requests(service, sync),
        "scopes": list(_scopes(sync, now)),
        "policy": _entry(sync, Policy(), now),
        "organizations": _entry(sync, Organizations(), now),
        "secrets": sum(isinstance(question, Secret) for question in sync.state.records),
        "quarantine": list(_quarantine(sync, names)),
        "pins": list(_pins(sync, now)),
        "endpoints": [
            {"what": name_of(question, names), "changes": list(moved.changes), "at": moved.at}
            for question, moved in sync.state.ledger.moved.items()
        ],
        "override": _override(service, sync),
        "export": _export(service),
        "troubles": [
            {
                "what": name_of(question, names),
                "kind": trouble.kind,
                "detail": trouble.detail,
                "since": trouble.since,
            }
            for question, trouble in sync.state.ledger.troubles.items()
        ],
    }


def _of_the_process(service: Service) -> dict[str, object]:
    value: dict[str, object] = {
        "version": __version__,
        "state": state_of(service),
        "state_since": service.tally.state[1] if service.tally.state is not None and service.port else None,
        "last_error": _last_error(service),
        "hub": origin_of(service.config.hub.url),
        "logged_in": service.has_hub,
        "key_from_environment": service.account is not None and service.account.from_environment,
        "port": service.port or None,
        "started_at": service.started_at or None,
        "counters": dict(sorted(service.counters.items())),
        "lost_records": service.lost_records,
        "config_problems": list(service.config_problems),
        "config_pending": list(service.config_pending),
    }
    if service.unavailable is not None:
        value |= {"reason": service.unavailable.reason, "hint": service.unavailable.hint}
    return value


def _last_error(service: Service) -> dict[str, object] | None:
    if service.sync is None or service.tally.last_error is None:
        return None
    question, trouble = service.tally.last_error
    what = name_of(question, names_by_id(service.sync.snapshot.organizations()))
    return {"what": what, "kind": trouble.kind, "detail": trouble.detail, "at": trouble.at}


def _of_the_passes(service: Service, sync: Sync, now: float) -> dict[str, object]:
    ledger, next_at = sync.state.ledger, service.next_pass_at
    return {
        "last_pass_at": ledger.last_pass,
        "last_success_at": ledger.last_success,
        "failures": ledger.failures,
        "running": sync.running_since is not None,
        "next_pass_in": max(0.0, next_at - now) if next_at is not None else None,
        "on_battery": service.surroundings.on_battery,
        "metered": service.surroundings.metered,
        "pace": service.machine_pace,
        "watched": service.watched,
        "not_before": ledger.not_before or None,
    }


def _of_the_cache(service: Service, sync: Sync) -> dict[str, object]:
    lock = sync.state.ledger.lock
    return {
        "lock": {"why": lock.why, "since": lock.since} if lock else None,
        "unsaved_since": sync.saving.failed_since,
        "unsaved_reason": sync.saving.reason,
        "count_problem": service.archive.counting[1] if service.archive is not None else "",
    }


def _requests(service: Service, sync: Sync) -> dict[str, object]:
    return {
        "answered_from_cache": sum(map(service.tally.graded, ("fresh", "stale", "expired"))),
        "waited_for_hub": service.tally.graded("miss"),
        "asked_of_hub": sync.asked_of_hub,
        "passed_through": service.counters["passed-through"],
    }


def _quarantine(sync: Sync, names: Mapping[str, str]) -> Iterator[dict[str, object]]:
    for question, held in sync.state.ledger.held.items():
        yield {
            "what": name_of(question, names),
            "scope": getattr(question, "scope", None),
            "gone": list(held.gone),
            "changes": list(held.changes),
            "since": held.since,
            "rejected": held.rejected,
        }


def _pins(sync: Sync, now: float) -> Iterator[dict[str, object]]:
    for pin in pins(sync.state.records, now):
        yield {
            "what": str(pin.assistant.slug),
            "scope": pin.assistant.scope,
            "proxied": pin.assistant.proxied,
            "revision": pin.revision,
            "until": pin.until if pin.until != float("inf") else None,
        }


def _override(service: Service, sync: Sync) -> dict[str, object] | None:
    overrides = service.overrides
    if overrides is None or overrides.source is None:
        return None
    return {"source": overrides.source, "names": len(sync.overrides), "problems": list(overrides.problems)}


def _export(service: Service) -> dict[str, object] | None:
    exporter, directory = service.exporter, service.config.export.directory
    if exporter is None or directory is None:
        return None
    return {
        "directory": str(directory),
        "at": exporter.at,
        "problem": exporter.problem,
        "kept": list(exporter.kept),
    }


def see(service: Service) -> None:
    """Note the state and the newest trouble in the tally, which remembers since when the state is the same."""
    ledger = service.sync.state.ledger if service.sync is not None else None
    service.tally.see(state_of(service), ledger, service.clock())


def for_reader(value: dict[str, object]) -> dict[str, object]:
    """The status for a token of scope `read`: the members that `READABLE` names, without the names of secrets. What is
    about this machine only (paths, the config file, the override's source) is left out."""
    shown = {name: part for name, part in value.items() if name in READABLE}
    if isinstance(troubles := shown.get("troubles"), list):
        shown["troubles"] = [_unnamed(trouble) for trouble in troubles]
    if shown.get("last_error") is not None:
        shown["last_error"] = _unnamed(shown["last_error"])
    return shown


def _unnamed(trouble: Any) -> object:
    return trouble | {"what": "a secret"} if trouble["what"].startswith("secret ") else trouble


def one_line(service: Service) -> str:
    """The status as one line for the service manager. It has times of day instead of ages, which would go on growing
    while the line stays as it is."""
    if service.unavailable is not None:
        return f"nothing can be served: {service.unavailable.reason}"
    parts = [f"serving http://localhost:{service.port}"]
    ledger = service.sync.state.ledger if service.sync is not None else None
    if not service.has_hub:
        parts.append("not logged in")
    elif ledger is not None and ledger.failures:
        parts.append(f"offline since {_o_clock(ledger.last_success or service.started_at)}")
    elif ledger is not None and ledger.last_success is not None:
        parts.append(f"last sync {_o_clock(ledger.last_success)}")
    sparing = f" ({service.surroundings})" if service.machine_pace != "normal" else ""
    if service.has_hub and service.next_pass_at is not None:
        parts.append(f"next sync {_o_clock(service.next_pass_at)}{sparing}")
    elif service.has_hub and sparing:
        parts.append(f"no sync by itself{sparing}")
    if ledger is not None and ledger.lock is not None:
        parts.append("locked")
    if ledger is not None and ledger.moved:
        parts.append(f"assistants that run or send elsewhere: {len(ledger.moved)}")
    if ledger is not None and ledger.waiting:
        parts.append("something is in quarantine")
    if service.config_problems:
        parts.append(f"the changed config is refused ({len(service.config_problems)} problems)")
    return ", ".join(parts)


@lru_cache(maxsize=4)  # the heartbeat asks for the same two times again and again
def _o_clock(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%a %H:%M:%S")


def state_of(service: Service) -> State:
    """The state in one word: the first of these that applies."""
    if service.unavailable is not None:
        return "unavailable"
    if service.sync is None:
        return "starting"
    if service.sync.state.ledger.lock is not None:
        return "locked"
    if not service.has_hub:
        return "logged-out"
    return "offline" if service.sync.state.ledger.failures else "ok"


def _entry(sync: Sync, question: Question, now: float) -> dict[str, object]:
    at = sync.snapshot.confirmed_at(question)
    trouble = sync.state.ledger.troubles.get(question)
    return {
        "age": max(0.0, now - at) if at is not None else None,
        "grade": sync.snapshot.grade(question, now),
        "error": trouble.detail if trouble else None,
    }


def _scopes(sync: Sync, now: float) -> Iterator[dict[str, object]]:
    known = {id_: (slug, name) for id_, slug, name in sync.snapshot.organizations()}
    rosters = [question for question in sync.state.records if isinstance(question, Roster)]
    order: dict[str | None, int] = {None: -1, **{id_: at for at, id_ in enumerate(known)}}
    for roster in sorted(rosters, key=lambda r: (order.get(r.scope, len(order)), r.scope or "", r.proxied)):
        slug, name = known.get(roster.scope or "", (roster.scope, roster.scope))
        yield {
            "scope": roster.scope,
            "slug": slug if roster.scope else None,
            "name": name if roster.scope else "personal",
            "proxied": roster.proxied,
            "assistants": [
                {"slug": str(member), "title": _title(sync, roster, member)}
                for member in members(sync.state.records[roster])
            ],
            **_entry(sync, roster, now),
        }


def _title(sync: Sync, roster: Roster, member: object) -> str | None:
    record = sync.state.records.get(Assistant(roster.scope, roster.proxied, member))  # type: ignore[arg-type]
    return record.content.traits.get("title") if isinstance(record, Record) else None
