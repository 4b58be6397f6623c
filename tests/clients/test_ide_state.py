"""What an IDE's core writes down after a cascade, and never takes back: one that failed moves a person to the personal
organization and the local profile for good. With answers from hublet, the selection outlives an outage."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hublet.demo.data import ACME
from hublet.demo.faults import Fault, Html, Status
from hublet.demo.server import HubServer
from tests.running import Home, RunningDaemon

pytestmark = pytest.mark.clients

CASCADE = Path(__file__).with_name("ide_core.py")
PERSONAL, LOCAL = "personal", "local"


@dataclass(frozen=True)
class Selection:
    """The part of core's globalContext.json that says what a person works with in a workspace."""

    organization: str
    profile: str


CHOSEN = Selection(ACME, "acme/backend-reviewer")
DAMAGED = Selection(PERSONAL, LOCAL)


def after_cascade(chosen: Selection, answers: dict[str, Any] | None) -> Selection:
    """Core's rule for what is selected after a cascade, which it then writes to globalContext.json.

    The Hub is dropped as a whole where the organizations can't be had; a list that can't be had is empty. What was
    selected stays selected if it is still there, otherwise the first one is: the personal organization, and of an
    organization its first profile, which for the personal one is the local profile.
    """

    def said(request: str) -> Any:
        answer = (answers or {}).get(f"GET /ide/{request}")
        if answer is None or answer["status"] != 200:
            return None
        try:
            return json.loads(answer["body"])
        except ValueError:
            return None

    profiles: dict[str, list[str]] = {PERSONAL: [LOCAL]}
    listed = said("list-organizations")
    if listed is not None:
        for id_ in (PERSONAL, *(each["id"] for each in listed["organizations"])):
            members = said("list-assistants" if id_ == PERSONAL else f"list-assistants?organizationId={id_}") or []
            slugs = [f"{each['ownerSlug']}/{each['packageSlug']}" for each in members]
            profiles[id_] = [*slugs, LOCAL]
    organization = chosen.organization if chosen.organization in profiles else PERSONAL
    there = profiles[organization]
    return Selection(organization, chosen.profile if chosen.profile in there else there[0])


def ask(home: Home, port: int) -> dict[str, Any] | None:
    """The answers of one cascade as an IDE's window asks for them; None where it could not even be begun."""
    done = home.python(str(CASCADE), str(port))
    answers: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 else None
    return answers


def test_three_runs_straight_to_the_hub_lose_the_selection(logged_in: Home, hub_server: HubServer) -> None:
    """Up, down, up again, without hublet: the third run of the IDE has the Hub back, and not the choice."""
    port = hub_server.port
    hub_server.hub.accept_key("undefined")  # the bearer that the replayed window sends
    first = after_cascade(CHOSEN, ask(logged_in, port))
    hub_server.stop()
    second = after_cascade(first, ask(logged_in, port))
    hub_server.start(port)
    third = after_cascade(second, ask(logged_in, port))

    assert [first, second, third] == [CHOSEN, DAMAGED, DAMAGED]


def test_three_runs_through_hublet_keep_it(logged_in: Home, hub_server: HubServer) -> None:
    """The same outage, which hublet spends partly as a process that has just been started."""
    hub_port = hub_server.port
    chosen = [CHOSEN]

    def window(daemon: RunningDaemon) -> None:
        chosen.append(after_cascade(chosen[-1], ask(logged_in, daemon.port)))

    with logged_in.daemon() as daemon:
        window(daemon)
        hub_server.stop()
        window(daemon)
    with logged_in.daemon() as daemon:
        window(daemon)
        hub_server.start(hub_port)
        window(daemon)
    assert chosen == [CHOSEN] * 5


@pytest.mark.parametrize("fault", [Status(500), Status(401, "Unauthorized"), Html()], ids=["500", "401", "html"])
def test_no_answer_of_a_sick_hub_moves_anybody(logged_in: Home, hub_server: HubServer, fault: Fault) -> None:
    """Each of these, straight from the Hub, would end at the local profile."""
    hub_server.hub.accept_key("undefined")
    with logged_in.daemon() as daemon, hub_server.hub.failing(fault):
        assert after_cascade(CHOSEN, ask(logged_in, hub_server.port)) == DAMAGED
        logged_in.hublet("sync")
        assert after_cascade(CHOSEN, ask(logged_in, daemon.port)) == CHOSEN
