"""An IDE's first requests, replayed with its own headers: one failed cascade would move the user to another profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hublet.demo.data import ACME, INITECH, USER_SECRETS
from hublet.demo.faults import EmptyList, Html, Status
from hublet.demo.server import HubServer
from tests.clients.conftest import up_then_down
from tests.clients.ide_core import FQSNS, Said
from tests.running import Home, RunningDaemon

pytestmark = pytest.mark.clients

SCRIPT = Path(__file__).with_name("ide_core.py")


def cascade(daemon: RunningDaemon) -> Said:
    done = daemon.home.python(str(SCRIPT), str(daemon.port))
    assert done.returncode == 0, done.stderr.decode()
    said: Said = json.loads(done.stdout)
    return said


def bodies(said: Said) -> dict[str, Any]:
    """What the requests brought. Each must be a whole answer: a 200 with JSON in it, nothing empty and nothing null."""
    found = {}
    for request, answer in said.items():
        assert answer["status"] == 200, (request, answer)
        assert answer["headers"]["content-type"].startswith("application/json"), request
        found[request] = json.loads(answer["body"])
        assert found[request], request
        parts = found[request].values() if isinstance(found[request], dict) else found[request]
        assert None not in parts, request
    return found


def test_the_cascade_is_the_same_without_the_hub(logged_in: Home, hub_server: HubServer) -> None:
    """Policy, organizations, each scope's list in parallel, secrets: equal bytes after the Hub has died."""
    up, down = up_then_down(logged_in, hub_server, cascade)

    found = bodies(up)
    assert bodies(down) == found
    assert {request: answer["body"] for request, answer in down.items()} == {
        request: answer["body"] for request, answer in up.items()
    }
    scopes = ["", f"?organizationId={ACME}", f"?organizationId={INITECH}"]
    lists = [found[f"GET /ide/list-assistants{scope}"] for scope in scopes]
    assert [len(each) for each in lists] == [len(roster(hub_server, scope)) for scope in (None, ACME, INITECH)]
    for each in (each for listed in lists for each in listed):
        # What core reads of each without looking whether it is there.
        assert each["ownerSlug"]
        assert each["packageSlug"]
        assert each["rawYaml"]
        assert {"config", "configLoadInterrupted"} <= each["configResult"].keys()
    assert found["GET /ide/policy"]["policy"]["allowAnonymousTelemetry"] is False


def test_secrets_are_aligned_with_what_was_asked(logged_in: Home, hub_server: HubServer) -> None:
    """Posted as text/plain. In each scope as many results as names, in order, `fqsn` echoed; the scope counts."""
    _, down = up_then_down(logged_in, hub_server, cascade)

    found = bodies(down)
    for scope in (None, ACME, INITECH):
        results = found[f"POST /ide/sync-secrets {scope}"]
        assert [result["fqsn"] for result in results] == FQSNS
        kinds = [result["secretLocation"]["secretType"] for result in results]
        assert kinds == ["package", "user", "not_found", "organization" if scope == ACME else "user"]
        assert results[1]["value"] == USER_SECRETS["GITHUB_TOKEN"]
    assert "value" not in found[f"POST /ide/sync-secrets {ACME}"][3]


@pytest.mark.parametrize(
    "fault",
    [Status(500), Status(401, "Unauthorized"), Status(404, "Not found"), Html(), EmptyList()],
    ids=["500", "401", "404", "html", "empty"],
)
def test_no_fault_of_the_hub_reaches_the_cascade(logged_in: Home, hub_server: HubServer, fault: Any) -> None:
    """A Hub that answers, but not as it should: two passes over it, and the window gets what it got before."""
    with logged_in.daemon() as daemon:
        before = cascade(daemon)
        with hub_server.hub.failing(fault):
            for _ in range(2):
                logged_in.hublet("sync")
            during = cascade(daemon)
    assert bodies(during) == bodies(before)


def roster(hub_server: HubServer, scope: str | None) -> list[str]:
    world = hub_server.hub.world
    return world.roster if scope is None else world.organizations[scope].roster
