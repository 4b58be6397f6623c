"""The generated Python client: its eight operations through hublet, with the Hub up and then dead, and its two faults.

Both are the generator's, in answers that are just as the Hub sends them. hublet changes nothing to please it: what
would please it breaks the other clients.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hublet.demo.data import ACME, DEMO_KEY
from hublet.demo.server import HubServer
from tests.clients.conftest import up_then_down
from tests.running import Home

pytestmark = pytest.mark.clients

SCRIPT = Path(__file__).with_name("python_sdk.py")
DOCUMENT = Path(__file__).parents[1] / "hub-openapi.yaml"

Call = tuple[str, dict[str, Any]]
Sdk = Callable[[str, list[Call]], list[dict[str, Any]]]

SECRET = {"packageSlugs": [{"ownerSlug": "dana", "packageSlug": "night-owl"}], "secretName": "ANTHROPIC_API_KEY"}

GOOD: list[Call] = [
    ("listAssistants", {"organizationId": ACME}),
    ("listAssistants", {"organizationId": ACME, "alwaysUseProxy": "true"}),
    ("getAssistant", {"ownerSlug": "dana", "packageSlug": "night-owl"}),
    ("getAssistant", {"ownerSlug": "dana", "packageSlug": "night-owl", "alwaysUseProxy": "true"}),
    ("listOrganizations", {}),
    ("getPolicy", {}),
    ("getFreeTrialStatus", {}),
    ("listAssistantFullSlugs", {}),
    ("syncSecrets", {"body": {"fqsns": [], "orgScopeId": None}}),
]
"""What it can read. Full slugs are declared as an error only, so that a 200 of theirs is read as nothing."""

FAULTY: list[Call] = [
    ("listAssistants", {}),
    ("getAssistant", {"ownerSlug": "dana", "packageSlug": "half-broken"}),
    ("syncSecrets", {"body": {"fqsns": [SECRET], "orgScopeId": None}}),
]
CHECKOUT: Call = ("getModelsAddOnCheckoutUrl", {"profile_id": "local"})
UNKNOWN: Call = ("getAssistant", {"ownerSlug": "nobody", "packageSlug": "nothing"})


@pytest.fixture
def sdk(logged_in: Home) -> Sdk:
    """`sdk(base, calls)`: what each call returns or raises, by one process."""

    def run(base: str, calls: list[Call]) -> list[dict[str, Any]]:
        done = logged_in.python(str(SCRIPT), str(DOCUMENT), base, DEMO_KEY, input=json.dumps(calls).encode())
        assert done.returncode == 0, done.stderr.decode()
        results: list[dict[str, Any]] = json.loads(done.stdout)
        return results

    return run


def test_the_eight_operations_with_and_without_the_hub(sdk: Sdk, logged_in: Home, hub_server: HubServer) -> None:
    """Seven give equal values, also from a host with a slash at its end; the checkout link is refused, as an error of
    the service. An assistant that isn't there stays a 404 with the Hub's message."""
    calls = [*GOOD, UNKNOWN, CHECKOUT]
    assert len({name for name, _ in [*calls, *FAULTY]}) == 8

    up, down = up_then_down(
        logged_in, hub_server, lambda daemon: [sdk(daemon.url, calls), sdk(f"{daemon.url}/", calls)]
    )

    assert up[1][:-1] == up[0][:-1]
    listed, proxied, owl, hidden, organizations, policy, trial, slugs, secrets, unknown, checkout = up[0]
    assert down == [[*up[0][:-1], {"error": "ServiceException", "status": 503, "message": None}]] * 2
    assert checkout["value"]["url"].startswith("https://")
    assert unknown == {"error": "NotFoundException", "status": 404, "message": "Assistant not found"}
    names = [f"{each['ownerSlug']}/{each['packageSlug']}" for each in listed["value"]]
    assert names == hub_server.hub.world.organizations[ACME].roster
    assert [each["packageSlug"] for each in proxied["value"]] == [name.partition("/")[2] for name in names]
    assert owl["value"]["configResult"]["config"]["models"][0]["provider"] == "anthropic"
    assert hidden["value"]["configResult"]["config"]["models"][0]["provider"] == "continue-proxy"
    assert [each["id"] for each in organizations["value"]["organizations"]] == list(hub_server.hub.world.organizations)
    assert policy["value"]["orgSlug"] == "acme"
    assert trial["value"]["chatLimit"] == 50
    assert slugs == {"value": None}
    assert secrets == {"value": []}


def test_its_two_faults(sdk: Sdk, logged_in: Home, hub_server: HubServer) -> None:
    """One `errors` of objects makes a whole list unreadable; so does any secret that is found or not. The same without
    hublet, with it, and with the Hub dead. Where no assistant has errors, as in the organization above, it works."""
    straight = sdk(hub_server.url, FAULTY)
    up, down = up_then_down(logged_in, hub_server, lambda daemon: sdk(daemon.url, FAULTY))

    listed, broken, secrets = up
    assert listed["error"] == broken["error"] == "ValidationError"
    assert listed["message"].endswith("configResult.errors.0: not a string")
    assert broken["message"] == "response.configResult.errors.0: not a string"
    assert secrets["error"] == "AttributeError"
    assert "Optional[object]" in secrets["message"]
    assert straight == up
    assert down == up
