"""Ten thousand assistants over a hundred organizations, and lists that are larger than is allowed."""

from __future__ import annotations

import json

import pytest
from tests.daemon.asking import status
from tests.faults.hours_later import INTERVAL, daemon_of, stale
from tests.running import Home, eventually

from hublet.demo.data import DEMO_KEY, Organization
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer

ORGANIZATIONS, EACH = 100, 100
SOURCE = "name: Assistant {number}\nversion: 1.0.0\nschema: v1\nrules:\n  - Answer briefly.\n"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_ten_thousand_assistants_over_a_hundred_organizations(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One pass brings all of them; each list is served whole, and again when a list has grown beyond hub.size_limit."""
    place = tmp_path_factory.mktemp("many")
    place.chmod(0o755)
    hub = Hub()
    with hub.changing() as world:
        world.organizations.clear()
        world.policy = None
        world.roster.clear()
        for number in range(ORGANIZATIONS):
            slugs = [f"org{number}/a{index}" for index in range(EACH)]
            world.sources |= {slug: SOURCE.format(number=slug.rpartition("/a")[2]) for slug in slugs}
            id_ = f"org_{number}"
            world.organizations[id_] = Organization(id_, f"Organization {number}", f"org{number}", roster=slugs)
    with HubServer(hub) as server:
        home = Home.make(place / "home", server.url, settings={"hub": {"size_limit": "256KiB"}})
        home.login(DEMO_KEY)
        with daemon_of(home) as later:
            eventually(lambda: " hublet: pass: " in later.daemon.log.read_text(), within=200)  # a sync would join it
            lists = [("GET", f"/ide/list-assistants?organizationId=org_{n}", None) for n in range(ORGANIZATIONS)]
            good = later.ask(lists)
            for number, answer in enumerate(good):
                assert answer.status == 200
                found = [f"{one['ownerSlug']}/{one['packageSlug']}" for one in json.loads(answer.body)]
                assert found == hub.world.organizations[f"org_{number}"].roster
            with hub.changing() as world:
                world.organizations["org_7"].roster = [f"org{n}/a{i}" for n in range(10) for i in range(EACH)]
            later.put_forward(INTERVAL + 1)
            done = home.hublet("sync", timeout=200)
            assert "larger than hub.size_limit" in done.stderr.decode()
            again = later.ask(lists)
            assert [answer.body for answer in again] == [answer.body for answer in good]
            assert [n for n, answer in enumerate(again) if stale(answer)] == [7]
            scopes = status(home)["scopes"]
            assert isinstance(scopes, list)
            assert sum(len(scope["assistants"]) for scope in scopes) == ORGANIZATIONS * EACH
