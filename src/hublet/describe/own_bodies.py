"""Schemas of hublet's own answers. They are closed: hublet sends no member that is not described here."""

from __future__ import annotations

from typing import get_args

from hublet.core.ledger import TroubleKind
from hublet.core.telling import KINDS, READABLE, STATES
from hublet.describe.schema import (
    Body,
    Schema,
    anything,
    array,
    closed_object,
    count,
    flag,
    nullable,
    number,
    one_of,
    ref,
    text,
)

_GRADE = nullable(one_of("fresh", "stale", "expired"))
_AGE = nullable({"type": "number", "minimum": 0, "description": "Seconds since the Hub said so."})
_SCOPE = nullable(text("The organization's id; null for the personal scope."))
_AT = "Seconds of the wall clock."
_TROUBLE = one_of(*get_args(TroubleKind))
_ENTRY: dict[str, Schema] = {
    "age": _AGE,
    "grade": _GRADE,
    "error": nullable(text("Why the last asking brought nothing.")),
}

_ALWAYS: dict[str, Schema] = {
    "version": text(),
    "state": one_of(*STATES),
    "state_since": nullable(number(_AT)),
    "last_error": nullable(
        closed_object({"what": text(), "kind": _TROUBLE, "detail": text(), "at": number(_AT)}),
    ),
    "hub": text("The Hub's origin."),
    "logged_in": flag(),
    "key_from_environment": flag(),
    "port": nullable(count()),
    "started_at": nullable(number(_AT)),
    "counters": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
    "lost_records": count(),
    "config_problems": array(text()),
    "config_pending": array(text()),
}
"""Members that every status has."""

_UNAVAILABLE: dict[str, Schema] = {"reason": text(), "hint": text()}

_RUNNING: dict[str, Schema] = {
    "last_pass_at": nullable(number(_AT)),
    "last_success_at": nullable(number(_AT)),
    "failures": count("Passes in a row that brought nothing."),
    "running": flag("Whether a pass runs now."),
    "next_pass_in": nullable({"type": "number", "minimum": 0, "description": "Seconds."}),
    "on_battery": flag(),
    "metered": flag(),
    "pace": text(),
    "watched": flag("Whether something waits for news: then passes come as often as the machine lets them."),
    "not_before": nullable(number("The Hub asked not to be asked sooner.")),
    "lock": nullable(closed_object({"why": one_of("refused", "asked", "restored"), "since": number(_AT)})),
    "unsaved_since": nullable(number("Since when the disk can't be written.")),
    "unsaved_reason": text(),
    "count_problem": text(),
    "requests": closed_object(
        {name: count() for name in ("answered_from_cache", "waited_for_hub", "asked_of_hub", "passed_through")}
    ),
    "scopes": array(ref("Scope")),
    "policy": closed_object(_ENTRY),
    "organizations": closed_object(_ENTRY),
    "secrets": count("How many are known."),
    "quarantine": array(
        closed_object(
            {
                "what": text(),
                "scope": _SCOPE,
                "gone": array(text()),
                "changes": array(text()),
                "since": number(_AT),
                "rejected": flag(),
            }
        )
    ),
    "pins": array(
        closed_object(
            {
                "what": text(),
                "scope": _SCOPE,
                "proxied": flag(),
                "revision": text(),
                "until": nullable(number("null: until it is unpinned.")),
            }
        )
    ),
    "endpoints": array(closed_object({"what": text(), "changes": array(text()), "at": number(_AT)})),
    "override": nullable(closed_object({"source": text(), "names": count(), "problems": array(text())})),
    "export": nullable(
        closed_object(
            {"directory": text(), "at": nullable(number(_AT)), "problem": nullable(text()), "kept": array(text())}
        )
    ),
    "troubles": array(
        closed_object({"what": text(), "kind": _TROUBLE, "detail": text(), "since": number(_AT)}),
    ),
}
"""Members that a status has while the cache is open."""


def _status() -> Schema:
    """The schema of a status. Members that a token of scope `read` gets are in every status of that state; the others
    come in groups, each whole or not at all (`dependentRequired`)."""
    own = [name for name in _ALWAYS if name not in READABLE]
    shared = [name for name in _RUNNING if name in READABLE]
    return {
        "type": "object",
        "properties": _ALWAYS | _UNAVAILABLE | _RUNNING,
        "required": [name for name in _ALWAYS if name in READABLE],
        "additionalProperties": False,
        "dependentRequired": {
            own[0]: own[1:],
            "reason": ["hint"],
            "scopes": shared,
            **{name: ["scopes"] for name in shared if name != "scopes"},
            "override": ["scopes", *(name for name in _RUNNING if name not in READABLE)],
        },
    }


OWN_BODIES: tuple[Body, ...] = (
    Body(
        "Message",
        "Why there is no answer, and where there is one a hint what to do",
        closed_object({"message": text(), "hint": text()}, "hint"),
        {"message": "the Hub refused the account's key", "hint": "run `hublet login`"},
    ),
    Body(
        "NotPassedOn",
        "Why something was not passed through to the Hub; `error` is for a model's client",
        closed_object(
            {"message": text(), "hint": text(), "error": closed_object({"message": text(), "type": text()})},
            "hint",
            "error",
        ),
        {
            "message": "the Hub does not answer, and this can't be cached",
            "error": {"message": "the Hub does not answer, and this can't be cached", "type": "unavailable"},
        },
    ),
    Body("Alive", "The process answers", closed_object({"status": {"const": "alive"}}), {"status": "alive"}),
    Body(
        "Ready",
        "Data can be served; `age` (seconds) only for who may ask for everything",
        closed_object({"status": {"const": "ready"}, "age": count()}, "age"),
        {"status": "ready", "age": 42},
    ),
    Body(
        "Scope",
        "The assistants of a scope, and how old the Hub's word on them is",
        closed_object(
            {
                "scope": _SCOPE,
                "slug": nullable(text()),
                "name": text(),
                "proxied": flag(),
                "assistants": array(closed_object({"slug": text(), "title": nullable(text())})),
                **_ENTRY,
            }
        ),
        {
            "scope": None,
            "slug": None,
            "name": "personal",
            "proxied": False,
            "assistants": [{"slug": "acme/chat", "title": "House Chat"}],
            "age": 61.5,
            "grade": "fresh",
            "error": None,
        },
    ),
    Body(
        "Status",
        "How hublet is; a token of scope read gets a part of it",
        _status(),
        {
            "version": "0.1.0",
            "state": "ok",
            "state_since": 1784800000.0,
            "last_error": None,
            "hub": "https://api.continue.dev:443",
            "logged_in": True,
            "port": 3001,
            "started_at": 1784790000.0,
            "counters": {"passed-through": 3},
            "lost_records": 0,
            "last_pass_at": 1784800061.5,
            "last_success_at": 1784800061.5,
            "failures": 0,
            "running": False,
            "next_pass_in": 838.5,
            "on_battery": False,
            "metered": False,
            "pace": "normal",
            "watched": False,
            "not_before": None,
            "lock": None,
            "unsaved_since": None,
            "requests": {"answered_from_cache": 120, "waited_for_hub": 1, "asked_of_hub": 31, "passed_through": 3},
            "scopes": [],
            "policy": {"age": 61.5, "grade": "fresh", "error": None},
            "organizations": {"age": 61.5, "grade": "fresh", "error": None},
            "secrets": 12,
            "quarantine": [],
            "pins": [],
            "endpoints": [],
            "troubles": [],
        },
    ),
    Body(
        "Event",
        "What has happened: the `data` of a server-sent event, and a line of `hublet watch --json`",
        closed_object(
            {
                "id": count(),
                "at": number(_AT),
                "kind": one_of(*KINDS),
                "what": text("Its name for people: of an assistant `owner/package`."),
                "scope": _SCOPE,
                "detail": text(),
            }
        ),
        {
            "id": 1784800000001,
            "at": 1784800000.5,
            "kind": "revision",
            "what": "acme/chat",
            "scope": "org_acme",
            "detail": "",
        },
    ),
    Body(
        "Document",
        "This document",
        {
            "type": "object",
            "properties": {
                "openapi": text(),
                "info": {"type": "object"},
                "paths": {"type": "object"},
                "components": {"type": "object"},
                "servers": anything("Where it listens."),
            },
            "required": ["openapi", "info", "paths", "components"],
        },
        {"openapi": "3.1.1", "info": {"title": "hublet", "version": "0.1.0"}, "paths": {}, "components": {}},
    ),
)
