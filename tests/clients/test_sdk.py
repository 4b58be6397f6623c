"""The real @continuedev/sdk 0.0.13, unmodified: its operations through hublet, with the Hub up and then dead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hublet.demo.assistants import chat
from hublet.demo.data import ACME, DEMO_KEY, USER_SECRETS
from hublet.demo.server import HubServer
from tests.clients.conftest import up_then_down
from tests.clients.pretend_llm import PretendLlm
from tests.running import Home

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

SCRIPT = Path(__file__).with_name("sdk_operations.mjs")
ODD_OWNER, ODD_PACKAGE = "acme corp", "dev/assistant ü?#%2F"
"""Slugs that the SDK has to percent-encode, a slash and a percent sign among them."""

FQSNS = [
    {"packageSlugs": [{"ownerSlug": "dana", "packageSlug": "night-owl"}], "secretName": "ANTHROPIC_API_KEY"},
    {"packageSlugs": [{"ownerSlug": "", "packageSlug": ""}], "secretName": "NOT_ANYWHERE"},
    {"packageSlugs": [{"ownerSlug": "", "packageSlug": ""}], "secretName": "GITHUB_TOKEN"},
]

Call = tuple[str, dict[str, Any] | None]
Result = dict[str, Any]

CACHED: list[Call] = [
    ("listAssistants", None),
    ("listAssistants", {"alwaysUseProxy": "false", "organizationId": ACME}),
    ("listAssistants", {"alwaysUseProxy": "true"}),
    ("getAssistant", {"ownerSlug": "dana", "packageSlug": "night-owl"}),
    ("getAssistant", {"ownerSlug": "acme", "packageSlug": "house-style", "organizationId": ACME}),
    ("getAssistant", {"ownerSlug": "dana", "packageSlug": "night-owl", "alwaysUseProxy": "true"}),
    ("getAssistant", {"ownerSlug": ODD_OWNER, "packageSlug": ODD_PACKAGE}),
    ("listOrganizations", None),
    ("getPolicy", None),
    ("syncSecrets", {"syncSecretsRequest": {"fqsns": FQSNS, "orgScopeId": None}}),
    ("syncSecrets", {"syncSecretsRequest": {"fqsns": FQSNS, "orgScopeId": ACME}}),
    ("getFreeTrialStatus", None),
    ("listAssistantFullSlugs", None),
]
CHECKOUT: Call = ("getModelsAddOnCheckoutUrl", {"profileId": "local", "vscodeUriScheme": "vscode"})
UNKNOWN: Call = ("getAssistant", {"ownerSlug": "nobody", "packageSlug": "nothing"})

Sdk = Callable[[str, list[Call]], list[Result]]


@pytest.fixture
def sdk(home: Home, node_modules: Path) -> Sdk:
    """`sdk(base, calls)`: what each call of the SDK returns or throws, by one process of Node."""

    def run(base: str, calls: list[Call]) -> list[Result]:
        order = {"modules": str(node_modules), "baseURL": base, "apiKey": DEMO_KEY, "calls": calls}
        done = home.start_and_wait(["node", str(SCRIPT)], input=json.dumps(order).encode(), timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        results = json.loads(done.stdout)
        assert len(results) == len(calls)
        return results

    return run


def values(results: list[Result]) -> list[Any]:
    assert [result["error"] for result in results if "error" in result] == []
    return [result["value"] for result in results]


def test_every_operation_with_and_without_the_hub(sdk: Sdk, home: Home, hub_server: HubServer, llm: PretendLlm) -> None:
    """The seven cached ones give the SDK the same values; the checkout link, which can't be cached, an honest 503."""
    hub_server.hub.put_assistant(f"{ODD_OWNER}/{ODD_PACKAGE}", chat("Odd", llm.url))
    home.login(DEMO_KEY)
    straight = values(sdk(hub_server.url, [call for call in CACHED if call[0] != "listAssistantFullSlugs"]))

    up, down = up_then_down(home, hub_server, lambda daemon: sdk(daemon.url, [*CACHED, CHECKOUT]))

    *cached, checkout = values(up)
    assert checkout["url"].startswith("https://")
    assert values(down[:-1]) == cached
    assert down[-1]["error"]["name"] == "ResponseError"
    assert down[-1]["error"]["status"] == 503
    assert down[-1]["error"]["body"]["message"]
    # And they are the Hub's own, but for the addresses of icons.
    assert cached.pop() == "undefined"
    assert without_icons(cached) == without_icons(straight)


def test_what_the_operations_say(sdk: Sdk, logged_in: Home) -> None:
    """A few facts from each answer, so that equal does not mean equally empty."""
    with logged_in.daemon() as daemon:
        calls: list[Call] = [*CACHED[:6], *CACHED[7:12]]
        listed, team, proxied, owl, style, hidden, organizations, policy, secrets, _, trial = values(
            sdk(daemon.url, calls)
        )
    assert [each["packageSlug"] for each in listed[:2]] == ["local-chat", "night-owl"]
    assert {each["ownerSlug"] for each in team} == {"acme", "dana"}
    assert owl["configResult"]["config"]["models"][0]["apiKey"] == USER_SECRETS["ANTHROPIC_API_KEY"]
    assert hidden["configResult"]["config"]["models"][0]["provider"] == "continue-proxy"
    assert USER_SECRETS["ANTHROPIC_API_KEY"] not in json.dumps([proxied, hidden])
    assert style["ownerSlug"] == "acme"
    assert [each["slug"] for each in organizations["organizations"]] == ["acme", "initech"]
    assert policy["policy"]["allowAnonymousTelemetry"] is False
    assert [each["found"] for each in secrets] == [True, False, True]
    assert [each["fqsn"] for each in secrets] == FQSNS
    assert trial["chatLimit"] == 50


def test_continue_from(sdk: Sdk, logged_in: Home, hub_server: HubServer) -> None:
    """Its base URL ends in a slash by default, so that it asks for `//ide/list-assistants`."""
    calls: list[Call] = [("from", {"assistant": "dana/local-chat"}), ("from", {"assistant": "dana/not-there"})]

    up, down = up_then_down(logged_in, hub_server, lambda daemon: sdk(f"{daemon.url}/", calls))

    assert up[0]["value"]["config"]["models"][0]["name"] == "Pretend Chat"
    assert up[0]["value"]["baseURL"].startswith("http://localhost:")
    assert up[1]["error"]["message"] == "Assistant dana/not-there not found"
    assert down == up


def test_an_unknown_assistant(sdk: Sdk, logged_in: Home, hub_server: HubServer) -> None:
    """The Hub's own 404 with its message, also offline once the Hub has said so; of what it never was asked, 503."""
    up, down = up_then_down(logged_in, hub_server, lambda daemon: sdk(daemon.url, [UNKNOWN]))

    assert up[0]["error"]["name"] == "ResponseError"
    assert (up[0]["error"]["status"], up[0]["error"]["body"]) == (404, {"message": "Assistant not found"})
    assert down == up
    with logged_in.daemon() as daemon:
        (never_asked,) = sdk(daemon.url, [("getAssistant", {"ownerSlug": "nobody", "packageSlug": "else"})])
    assert never_asked["error"]["status"] == 503
    assert never_asked["error"]["body"]["message"]


def without_icons(value: Any) -> Any:
    match value:
        case dict():
            return {key: without_icons(each) for key, each in value.items() if key != "iconUrl"}
        case list():
            return [without_icons(each) for each in value]
    return value
