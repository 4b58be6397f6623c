"""The words in which hublet tells of itself: kinds of events, states, and the members of the status.

Programs may rely on all of them. The daemon tells them (serve/events.py, serve/status.py), and the OpenAPI document
names them (describe/own_bodies.py).
"""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal[
    "revision",  # an assistant, a package, the organizations or the policy is new or has changed
    "withdrawn",  # the Hub has taken something back, and it is no longer served
    "held",  # in quarantine, until a person agrees
    "accepted",  # a person has agreed
    "endpoints",  # an assistant runs something else, or sends somewhere else, than before
    "stale",  # the Hub has not confirmed something for clearly longer than passes explain
    "expired",  # secret values that are no longer served
    "locked",
    "unlocked",
    "offline",
    "online",
    "pass",  # a pass over the Hub has ended
    "config",  # the changed config file was taken over, or refused
    "pinned",
    "unpinned",
    "missed",  # told to one listener: events before the next one are no longer there
]
"""The kind of an event."""
KINDS: tuple[Kind, ...] = get_args(Kind)

State = Literal["ok", "offline", "locked", "logged-out", "starting", "unavailable"]
"""How hublet is, in one word; offline means that the last pass brought nothing."""
STATES: tuple[State, ...] = get_args(State)

READABLE = frozenset(
    {
        "version", "state", "state_since", "last_error", "hub", "logged_in", "port", "started_at", "counters",
        "lost_records", "last_pass_at", "last_success_at", "failures", "running", "next_pass_in", "on_battery",
        "metered", "pace", "watched", "not_before", "lock", "unsaved_since", "requests", "scopes", "policy",
        "organizations", "secrets", "quarantine", "pins", "endpoints", "troubles",
    }
)  # fmt: skip
"""The members of the status that a token of scope `read` gets."""
