"""The metrics, in Prometheus' text exposition format 0.0.4, written without a library. No name from the Hub is in them.

# HELP name text              backslash and line end escaped
# TYPE name counter|gauge
name{label="value"} number    backslash, line end and double quote escaped
"""

from __future__ import annotations

import math
import os
import platform
import resource
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from hublet import __version__
from hublet.core import operations as ops
from hublet.core.questions import LATEST, Block, Download, Icon, Pinned, Proposed, Question
from hublet.core.records import Record
from hublet.core.telling import KINDS, STATES
from hublet.core.values import dataclass
from hublet.door.application import Counters
from hublet.passes.sync import Sync
from hublet.serve.service import Service
from hublet.serve.status import state_of
from hublet.store.schema import beside, database_name

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

ASKED: Mapping[type[ops.Operation], str] = {
    ops.ListAssistants: "roster",
    ops.ListFullSlugs: "roster",
    ops.GetAssistant: "assistant",
    ops.ListOrganizations: "organizations",
    ops.GetPolicy: "policy",
    ops.SyncSecrets: "secret",
    ops.GetFreeTrialStatus: "free-trial",
    ops.GetCredits: "credits",
    ops.GetAuthScope: "auth-scope",
    ops.GetBlock: "block",
    ops.DownloadPackage: "download",
}
"""The kind of Question that each Operation asks."""

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with its samples. A counter's name ends in `_total`."""

    name: str
    type: Literal["counter", "gauge"]
    help: str
    samples: tuple[tuple[Labels, float], ...]


def write(families: Iterable[Family]) -> bytes:
    """The families in the exposition format. A family without samples is left out."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            text = family.help.replace("\\", "\\\\").replace("\n", "\\n")
            lines += [f"# HELP {family.name} {text}", f"# TYPE {family.name} {family.type}"]
            lines += [f"{family.name}{_labels(labels)} {_number(value)}" for labels, value in family.samples]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))


def exposition(service: Service) -> bytes:
    """All metrics of a service, as they are now."""
    return write(_families(service))


def _families(service: Service) -> Iterator[Family]:
    tally, counters = service.tally, service.counters
    python = platform.python_version()
    yield _gauge("hublet_build_info", "Which hublet this is.", 1, version=__version__, python=python)
    yield _gauge("hublet_start_time_seconds", "When it was started.", service.started_at)
    yield _gauge("hublet_uptime_seconds", "For how long it has been running.", service.clock() - service.started_at)
    now = state_of(service)
    states = tuple(({"state": state}, float(state == now)) for state in STATES)
    yield Family("hublet_state", "gauge", "1 for the state that it is in.", states)
    asked: Counter[tuple[str, str]] = Counter()
    for (operation, grade), count in tally.answers.items():
        asked[ASKED.get(operation, "other"), grade] += count
    yield _counter(
        "hublet_requests_total",
        "Requests by what was asked and how good the answer in the cache was; miss: the Hub was asked.",
        (({"kind": kind, "grade": grade}, count) for (kind, grade), count in sorted(asked.items())),
    )
    saved = sum(map(tally.graded, ("fresh", "stale", "expired")))
    yield _counter("hublet_requests_saved_total", "Requests that the Hub was not asked for.", [({}, saved)])
    passed = counters["passed-through"]
    yield _counter("hublet_requests_passed_through_total", "Requests handed on to the Hub.", [({}, passed)])
    refused = [(key.partition(":")[2], count) for key, count in sorted(counters.items()) if key.startswith("refused:")]
    rules = (({"rule": rule}, count) for rule, count in refused)
    yield _counter("hublet_refusals_total", "Requests that were refused, by the rule.", rules)
    yield from _of_the_door(service.door)
    passes = (({"result": result}, tally.passes[result]) for result in ("answered", "failed"))
    yield _counter("hublet_passes_total", "Passes over the Hub; failed: nothing of the account came.", passes)
    yield _counter(
        "hublet_hub_outcomes_total",
        "What the Hub was asked, by the endpoint's own name, and what came back.",
        (({"asked": name, "outcome": outcome}, count) for (name, outcome), count in sorted(tally.outcomes.items())),
    )
    events = (({"kind": kind}, service.events.counts[kind]) for kind in KINDS if service.events.counts[kind])
    yield _counter("hublet_events_total", "What has happened, by kind.", events)
    yield _gauge("hublet_event_listeners", "How many listen to the events.", len(service.events))
    if service.audit is not None:
        yield _gauge("hublet_audit_lost", "Notes for the audit log that could not be written yet.", service.audit.lost)
    if service.sync is not None:
        yield from _of_the_cache(service, service.sync)
    store = service.config.locate().data / database_name
    size = sum(_size(path) for path in (store, *beside(store)))
    yield _gauge("hublet_store_size_bytes", "The cache on the disk, with its write-ahead log.", size)
    yield from _of_the_process()


def _of_the_door(door: Counters) -> Iterator[Family]:
    """What the HTTP server on the port has counted, whatever was asked; the Unix sockets are not in it."""
    yield _counter("hublet_connections_total", "Connections to the port.", [({}, door.connections)])
    closed = (("evicted", door.evicted), ("timed_out", door.timed_out), ("turned_away", door.turned_away))
    yield _counter(
        "hublet_connections_closed_total",
        "Connections that hublet closed; evicted: for a newer one, timed_out: too slow, turned_away: no room.",
        (({"reason": reason}, count) for reason, count in closed),
    )
    yield _counter("hublet_http_requests_total", "Requests of any kind to the port.", [({}, door.requests)])
    errors = (("failed", door.failed), ("malformed", door.malformed), ("refused", door.refused))
    yield _counter(
        "hublet_http_errors_total",
        "Requests without an answer of their own; failed: 500, malformed: no HTTP that hublet takes, refused: see"
        " hublet_refusals_total.",
        (({"error": error}, count) for error, count in errors),
    )


def _of_the_cache(service: Service, sync: Sync) -> Iterator[Family]:
    now, ledger, snapshot = service.clock(), sync.state.ledger, sync.snapshot
    grades: Counter[tuple[str, str]] = Counter()
    oldest: dict[str, float] = {}
    for question, known in sync.state.records.items():
        if isinstance(question, Icon | Proposed | Pinned):
            continue
        grade = snapshot.grade(question, now) if isinstance(known, Record) else "withdrawn"
        grades[question.kind, grade or "unknown"] += 1
        at = snapshot.confirmed_at(question)
        if at is not None and isinstance(known, Record) and _goes_on_changing(question):
            oldest[question.kind] = max(oldest.get(question.kind, 0.0), now - at)
    yield Family(
        "hublet_records",
        "gauge",
        "What is in the cache, by kind and grade.",
        tuple(({"kind": kind, "grade": grade}, count) for (kind, grade), count in sorted(grades.items())),
    )
    yield Family(
        "hublet_age_seconds",
        "gauge",
        "How long ago the Hub confirmed the oldest of a kind; what never changes is left out.",
        tuple(({"kind": kind}, age) for kind, age in sorted(oldest.items())),
    )
    for name, text, at in (
        ("hublet_last_pass_timestamp_seconds", "When the last pass ended.", ledger.last_pass),
        ("hublet_last_success_timestamp_seconds", "When a pass last brought something.", ledger.last_success),
        ("hublet_next_pass_timestamp_seconds", "When the next pass is due.", service.next_pass_at),
    ):
        if at is not None:
            yield _gauge(name, text, at)
    yield _gauge("hublet_failures", "Passes in a row that brought nothing.", ledger.failures)
    yield _gauge("hublet_quarantined", "What is held until a person agrees.", len(ledger.waiting))
    yield _gauge(
        "hublet_endpoints_changed", "Assistants that have lately begun to run or send elsewhere.", len(ledger.moved)
    )
    yield _gauge("hublet_unsaved", "1 while the cache can't be written.", float(sync.saving.failed_since is not None))


def _goes_on_changing(question: Question) -> bool:
    match question:
        case Block(version=version) | Download(version=version):
            return version == LATEST
    return True


def _of_the_process() -> Iterator[Family]:
    """The process's own metrics, under the names that Prometheus' client libraries give them."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    yield _counter("process_cpu_seconds_total", "CPU time used, in seconds.", [({}, cpu)])
    resident = _resident()
    if resident is not None:
        yield _gauge("process_resident_memory_bytes", "Resident memory, in bytes.", resident)


def _resident() -> float | None:
    """The resident memory in bytes, None where there is no /proc."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  a Path for each scrape would say nothing more
            return int(file.read().split()[1]) * float(os.sysconf("SC_PAGESIZE"))
    except (OSError, ValueError, IndexError):
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _gauge(name: str, text: str, value: float, **labels: str) -> Family:
    return Family(name, "gauge", text, ((labels, value),))


def _counter(name: str, text: str, samples: Iterable[tuple[Labels, float]]) -> Family:
    return Family(name, "counter", text, tuple(samples))
