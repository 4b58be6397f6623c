"""What admin requests are called in the audit log: in words of our own, since a path may hold names."""

from __future__ import annotations

from typing import Any

_ACTIONS: dict[tuple[str, ...], str] = {
    ("DELETE", "pins"): "unpin",
    ("DELETE", "tokens"): "token revoke",
    ("GET", "assistants"): "assistants",
    ("GET", "audit"): "audit",
    ("GET", "forget"): "",
    ("GET", "diff"): "diff",
    ("GET", "history"): "log",
    ("GET", "events"): "events",
    ("GET", "examine"): "doctor",
    ("GET", "keys"): "keys show",
    ("GET", "policy"): "policy",
    ("GET", "proof"): "",
    ("GET", "secrets"): "secrets",
    ("GET", "status"): "status",
    ("GET", "store", "check"): "store check",
    ("GET", "sunset"): "doctor sunset",
    ("GET", "tally"): "tally",
    ("GET", "tokens"): "token list",
    ("POST", "bundle"): "bundle",
    ("POST", "export"): "export",
    ("POST", "export", "values"): "export values",
    ("POST", "forget"): "forget",
    ("POST", "import"): "import",
    ("POST", "keys", "escrow"): "keys escrow",
    ("POST", "keys", "move"): "keys move",
    ("POST", "keys", "recover"): "keys recover",
    ("POST", "keys", "rotate"): "keys rotate",
    ("POST", "lock"): "lock",
    ("POST", "login"): "login",
    ("POST", "pins"): "pin",
    ("POST", "probe"): "doctor probe",
    ("POST", "quarantine", "accept"): "quarantine accept",
    ("POST", "quarantine", "reject"): "quarantine reject",
    ("POST", "quarantine", "show"): "quarantine show",
    ("POST", "secrets", "get"): "secrets get",
    ("POST", "store", "accept"): "store accept",
    ("POST", "store", "backup"): "store backup",
    ("POST", "store", "repair"): "store repair",
    ("POST", "store", "restore"): "store restore",
    ("POST", "sync"): "sync",
    ("POST", "tokens"): "token make",
    ("POST", "unlock"): "unlock --offline",
}
"""By method and the first one or two words of the path; an empty name is not noted."""

REVEALING = frozenset(
    {"bundle", "export values", "keys escrow", "secrets get", "token make", "store accept", "unlock --offline"}
)
"""Written down before they are done, and not done when that fails."""

_LONGEST_NAME = 64


def action_of(method: str, segments: tuple[str, ...]) -> str:
    """The request's name; empty for one that is not noted. A route that is not in the table is noted as `other`."""
    found = _ACTIONS.get((method, *segments[:2]))
    return found if found is not None else _ACTIONS.get((method, *segments[:1]), "other")


def is_urgent(method: str, action: str) -> bool:
    """Whether it changes or reveals, so that its line is on the disk before it is answered."""
    return method != "GET" or action in REVEALING


def secret_of(segments: tuple[str, ...], value: Any) -> str:
    """The name of the secret whose value is asked for. It comes from the Hub: not to be written down in clear."""
    match segments, value:
        case ("secrets", "get"), {"name": str(name)}:
            return name
    return ""


def about_of(segments: tuple[str, ...], value: Any) -> str:
    """The local token that it is about: people here choose those names, so that they may stand in clear."""
    match segments, value:
        case ("tokens", str(name)), _:
            return name[:_LONGEST_NAME]
        case ("tokens",), {"name": str(name)}:
            return name[:_LONGEST_NAME]
    return ""
