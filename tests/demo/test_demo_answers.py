"""The pretend Hub says what the real one does: statuses, shapes, secrets, order."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any
from urllib.parse import urlsplit

import pytest

from hublet.demo.data import (
    ACME,
    DEMO_KEY,
    DEMO_REFRESH_TOKEN,
    INITECH,
    ORGANIZATION_SECRETS,
    USER_SECRETS,
    Organization,
)
from hublet.demo.hub import Hub
from hublet.demo.reply import Reply
from hublet.demo.unroll import unroll

KEY = {"authorization": f"Bearer {DEMO_KEY}"}
SCOPES = ("", f"&organizationId={ACME}", f"&organizationId={INITECH}")


@pytest.fixture
def hub() -> Hub:
    return Hub("http://127.0.0.1:9/v1", clock=lambda: 1_750_000_000.0)


def get(hub: Hub, target: str, headers: dict[str, str] = KEY) -> Reply:
    return hub.respond("GET", target, headers)


def config(hub: Hub, slug: str, query: str = "") -> Any:
    return get(hub, f"/ide/get-assistant/{slug}?{query}").json()["configResult"]["config"]


def sync(hub: Hub, *fqsns: Any, **scope: Any) -> Any:
    reply = hub.respond("POST", "/ide/sync-secrets", KEY, json.dumps({"fqsns": fqsns, **scope}).encode())
    assert reply.status == 200
    return reply.json()


def fqsn(text: str) -> dict[str, Any]:
    *path, name = text.split("/")
    slugs = [{"ownerSlug": o, "packageSlug": p} for o, p in zip(path[::2], path[1::2], strict=True)]
    return {"packageSlugs": slugs, "secretName": name}


def test_a_list_names_a_scopes_assistants_in_order_with_all_that_clients_need(hub: Hub) -> None:
    """list-assistants: an array of configResult, slugs, icon, proxy and rawYaml; a dozen and more over the scopes."""
    listed = [each for scope in SCOPES for each in get(hub, f"/ide/list-assistants?alwaysUseProxy=false{scope}").json()]
    assert len(listed) >= 12
    for each in listed:
        keys = {"configResult", "ownerSlug", "packageSlug", "iconUrl", "onPremProxyUrl", "useOnPremProxy", "rawYaml"}
        assert set(each) == keys
        assert set(each["configResult"]) - {"errors"} == {"config", "configLoadInterrupted"}
    assert [each["packageSlug"] for each in listed][:2] == ["local-chat", "night-owl"]
    assert max(len(each["rawYaml"]) for each in listed) > 19_000


def test_errors_are_objects_and_absent_where_there_are_none(hub: Hub) -> None:
    """A fatal error comes with config null; a missing block is a null entry and a non-fatal error."""
    results = {each["packageSlug"]: each["configResult"] for each in get(hub, "/ide/list-assistants").json()}
    assert "errors" not in results["quiet"]
    broken = results["broken"]
    assert broken["config"] is None
    assert broken["configLoadInterrupted"] is True
    assert broken["errors"][0]["fatal"] is True
    assert broken["errors"][0].keys() == {"fatal", "message", "uri"}
    half = results["half-broken"]
    assert [model and model["name"] for model in half["config"]["models"]] == [None, None, "Llama"]
    assert [error["fatal"] for error in half["errors"]] == [False] * 3
    assert half["errors"][0]["message"] == 'Block acme/gone-model not found.\n> "acme/gone-model"'
    assert half["errors"][2]["message"] == "Block acme/gone-rules not found:\nacme/gone-rules"


def test_blocks_are_unrolled_with_inputs_and_overrides(hub: Hub) -> None:
    """`uses` brings the block, `with` fills its inputs, `override` replaces keys, MCP blocks name their source."""
    smith = config(hub, "dana/rust-smith")
    claude, codestral = smith["models"]
    assert claude["apiKey"] == USER_SECRETS["ANTHROPIC_API_KEY"]
    assert claude["roles"] == ["chat"]
    assert claude["defaultCompletionOptions"] == {"temperature": 0.2}
    assert codestral["model"] == "codestral-latest"
    assert smith["mcpServers"][0]["sourceSlug"] == "github/github-mcp"
    assert smith["rules"][0]["globs"] == "**/*.rs"
    assert "schema" not in smith


def test_secret_names_come_in_the_order_of_the_unrolled_text(hub: Hub) -> None:
    """Own secrets are assistant/NAME; a block's own and those in `with` are assistant/block/NAME; each once."""
    source = """\
name: Order
version: 1.0.0
schema: v1
models:
  - {name: inline, provider: openai, model: m, apiKey: "${{ secrets.INLINE }}"}
  - uses: acme/model
    with: {KEY: "${{ secrets.WITH_SECRET }}"}
rules:
  - again ${{ secrets.INLINE }}
"""
    block = """\
name: Model
version: 1.0.0
models:
  - {name: m, provider: openai, model: m, apiKey: "${{ inputs.KEY }}", env: {A: "${{ secrets.BLOCK_SECRET }}"}}
"""
    with hub.changing() as world:
        world.blocks["acme/model"] = {"1.0.0": block}
        names = unroll(world, "acme/asst", source, None, proxied=False).names
    assert names == ["acme/asst/INLINE", "acme/asst/acme/model/WITH_SECRET", "acme/asst/acme/model/BLOCK_SECRET"]


def test_a_model_whose_key_is_not_the_users_goes_through_the_hub(hub: Hub) -> None:
    """Organization, package, add-on, trial and unknown secrets make a model continue-proxy, without a key."""
    ours = config(hub, "acme/backend-reviewer", f"organizationId={ACME}")
    assert ours["models"][0] == {
        "name": "GPT-4.1 (Acme)",
        "provider": "continue-proxy",
        "model": "acme/backend-reviewer/openai/gpt-4.1",
        "roles": ["chat", "edit", "apply"],
        "requestOptions": {"headers": {"X-Acme-Gateway": "${{ secrets.organization:acme/ACME_GATEWAY_TOKEN }}"}},
        "apiKeyLocation": "organization:acme/ACME_OPENAI_KEY",
        "orgScopeId": ACME,
        "onPremProxyUrl": None,
    }
    assert ours["mcpServers"][0]["env"]["JIRA_TOKEN"] == "${{ secrets.organization:acme/ACME_JIRA_TOKEN }}"
    house, cloud = (config(hub, f"acme/{name}", f"organizationId={ACME}") for name in ("house-style", "cloud-platform"))
    assert house["models"][0]["apiKeyLocation"] == "package:acme/house-model/HOUSE_KEY"
    assert cloud["models"][0]["envSecretLocations"]["accessKeyId"] == "organization:acme/ACME_AWS_ACCESS_KEY_ID"
    trial = [model["apiKeyLocation"] for model in config(hub, "dana/trial-run")["models"]]
    assert [place.partition(":")[0] for place in trial] == ["free_trial", "models_add_on", "not_found"]
    assert config(hub, "initech/tps-reports", f"organizationId={INITECH}")["models"][0]["onPremProxyUrl"]


@pytest.mark.parametrize("scope", SCOPES)
def test_no_value_is_in_the_proxied_answer_and_no_organizations_value_in_any(hub: Hub, scope: str) -> None:
    """alwaysUseProxy=true keeps the user's secrets back too; an organization's are never given out."""
    clear = get(hub, f"/ide/list-assistants?alwaysUseProxy=false{scope}").read().decode()
    proxied = get(hub, f"/ide/list-assistants?alwaysUseProxy=true{scope}").read().decode()
    assert [name for name, value in USER_SECRETS.items() if value in proxied] == []
    assert any(value in clear for value in USER_SECRETS.values())
    theirs = [value for secrets in ORGANIZATION_SECRETS.values() for value in secrets.values()]
    assert not any(value in clear + proxied for value in theirs)


def test_every_user_secret_stands_in_some_answer(hub: Hub) -> None:
    """What scans for secrets has something to find, the unicode and the short one included."""
    clear = "".join(get(hub, f"/ide/list-assistants?{scope}").read().decode() for scope in SCOPES)
    assert [name for name, value in USER_SECRETS.items() if value not in clear] == []


def test_an_assistant_is_unknown_forbidden_or_answered(hub: Hub) -> None:
    """get-assistant: 404 and 403 with the Hub's words; unlisted defaults are answered, also to nobody in particular."""
    assert get(hub, "/ide/get-assistant/dana/nothing").json() == {"message": "Assistant not found"}
    refused = get(hub, f"/ide/get-assistant/dana/night-owl?organizationId={INITECH}")
    assert (refused.status, refused.json()) == (403, {"message": "This assistant is not allowed in this organization"})
    for name in ("default-cli-config", "default-agent"):
        assert get(hub, f"/ide/get-assistant/continuedev/{name}", {}).status == 200
    assert get(hub, "//ide/get-assistant/dana%2D/x").status == 404


def test_secrets_resolve_in_the_hubs_order_and_scope(hub: Hub) -> None:
    """sync-secrets: aligned with the question, fqsn echoed, only user secrets with a value."""
    asked = [
        fqsn("dana/x/openai/gpt-4.1/GPT_ADD_ON_KEY"),
        fqsn("dana/x/acme/house-model/HOUSE_KEY"),
        fqsn("dana/x/ANTHROPIC_API_KEY"),
        fqsn("dana/x/anthropic/claude-3-5-haiku/HAIKU_TRIAL_KEY"),
        fqsn("dana/x/NOPE"),
        {"odd": True},
    ]
    inside, outside = sync(hub, *asked, orgScopeId=ACME), sync(hub, *asked, orgScopeId=None)
    assert [each["fqsn"] for each in inside] == asked
    kinds = [each["secretLocation"]["secretType"] for each in inside]
    assert kinds == ["models_add_on", "package", "organization", "free_trial", "not_found", "not_found"]
    assert not any("value" in each for each in inside)
    assert outside[2] == {
        "found": True,
        "fqsn": asked[2],
        "value": USER_SECRETS["ANTHROPIC_API_KEY"],
        "secretLocation": {"secretType": "user", "userSlug": "dana", "secretName": "ANTHROPIC_API_KEY"},
    }
    assert sync(hub, *asked, orgScopeSlug="acme") == inside
    assert sync(hub, *asked, orgScopeId=INITECH, orgScopeSlug="acme")[2]["found"] is True
    assert hub.respond("POST", "/ide/sync-secrets", KEY, b"nonsense").status == 400


def test_the_small_operations(hub: Hub) -> None:
    """Organizations, policy, trial, credits, full slugs and checkout have the Hub's shapes."""
    organizations = get(hub, "/ide/list-organizations").json()["organizations"]
    assert [(each["id"], each["slug"]) for each in organizations] == [(ACME, "acme"), (INITECH, "initech")]
    assert set(organizations[0]) == {"id", "name", "iconUrl", "slug"}
    policy = get(hub, "/ide/policy").json()
    assert policy["orgSlug"] == "acme"
    assert policy["policy"]["allowAnonymousTelemetry"] is False
    trial = get(hub, "/ide/free-trial-status").json()
    assert trial == {
        "optedInToFreeTrial": True,
        "chatCount": 12,
        "autocompleteCount": 340,
        "chatLimit": 50,
        "autocompleteLimit": 2000,
    }
    assert get(hub, "/ide/credits").json()["hasCredits"] is True
    slugs = get(hub, "/ide/list-assistant-full-slugs")
    assert (slugs.status, slugs.json()) == (429, {"message": "Too many requests"})
    urls = {get(hub, "/ide/get-models-add-on-checkout-url").json()["url"] for _ in range(3)}
    assert len(urls) == hub.checkout_sessions == 3


def test_only_an_accepted_key_is_let_in(hub: Hub) -> None:
    """Without one every ide/* is 401; what was sent is remembered by its kind only."""
    for headers in ({}, {"authorization": "Bearer undefined"}, {"authorization": "Bearer con_other"}, KEY):
        get(hub, "/ide/policy", headers)
    assert [seen.authorization_kind for seen in hub.requests] == ["none", "undefined", "unknown-key", "key"]
    assert DEMO_KEY not in repr(hub.requests) + repr([seen.headers for seen in hub.requests])
    hub.revoke_key(DEMO_KEY)
    assert get(hub, "/ide/policy").json() == {"message": "Unauthorized"}
    hub.accept_key("con_bound", ACME)
    assert get(hub, "/auth/scope", {"authorization": "Bearer con_bound"}).json() == {"organizationId": ACME}
    hub.account_exists = False
    reply = get(hub, "/ide/policy", {"authorization": "Bearer con_bound"})
    assert (reply.status, reply.json()) == (404, {"message": "User not found"})


def test_a_refresh_token_works_once(hub: Hub) -> None:
    """auth/refresh gives a new pair; the access token is let in, the old refresh token is not taken again."""
    body = json.dumps({"refreshToken": DEMO_REFRESH_TOKEN}).encode()
    pair = hub.respond("POST", "/auth/refresh", {}, body).json()
    assert set(pair) == {"accessToken", "refreshToken", "user"}
    assert get(hub, "/ide/policy", {"authorization": f"Bearer {pair['accessToken']}"}).status == 200
    assert hub.respond("POST", "/auth/refresh", {}, body).status == 401


def test_packages_are_given_as_text_and_as_a_zip(hub: Hub) -> None:
    """registry/v1 by version or latest; v0 download is a zip with one markdown file; both without a key."""
    assert "codestral-latest" in get(hub, "/registry/v1/mistral/codestral/latest", {}).json()["content"]
    assert "codestral-2405" in get(hub, "/registry/v1/mistral/codestral/1.0.0", {}).json()["content"]
    assert get(hub, "/registry/v1/mistral/codestral/9.9.9", {}).status == 404
    with zipfile.ZipFile(io.BytesIO(get(hub, "/v0/dana/rust-rules/latest/download", {}).read())) as archive:
        assert archive.namelist() == ["rust-rules.md"]


def test_icon_urls_are_capabilities_that_change_and_expire() -> None:
    """Each listing signs anew; the URL works without a key, not with another signature, not after its time."""
    now = [1000.0]
    hub = Hub(clock=lambda: now[0])

    def icon() -> str:
        url = urlsplit(get(hub, "/ide/list-organizations").json()["organizations"][0]["iconUrl"])
        return f"{url.path}?{url.query}"

    first, second = icon(), icon()
    assert first != second
    assert get(hub, first, {}).read().startswith(b"\x89PNG\r\n")
    assert get(hub, first.replace("Signature=", "Signature=0"), {}).status == 403
    assert get(hub, first.replace(ACME, INITECH), {}).status == 403
    now[0] += 3601
    assert get(hub, second, {}).status == 403


def test_the_same_world_says_the_same_bytes() -> None:
    """Apart from the pre-signed queries, bodies of two Hubs are equal."""
    one, two = Hub(clock=lambda: 5.0), Hub(clock=lambda: 5.0)
    for target in (
        "/ide/list-assistants",
        "/ide/list-organizations",
        "/ide/policy",
        "/v0/dana/rust-rules/latest/download",
    ):
        assert get(one, target).read() == get(two, target).read()


def test_validators_can_be_switched_on(hub: Hub) -> None:
    """None by default; with them If-None-Match gives 304 while nothing changed."""
    assert get(hub, "/ide/policy").header("etag") is None
    hub.validators = True
    tag = get(hub, "/ide/policy").header("etag")
    assert tag is not None
    assert get(hub, "/ide/policy", {**KEY, "if-none-match": tag}).status == 304
    hub.set_policy({"allowMcpServers": False}, "initech")
    assert get(hub, "/ide/policy", {**KEY, "if-none-match": tag}).json()["orgSlug"] == "initech"


def test_the_world_can_be_changed(hub: Hub) -> None:
    """Secrets rotate, assistants come, change and go, organizations too."""
    hub.set_secret("LLM_KEY", "rotated")
    assert config(hub, "dana/local-chat")["models"][0]["apiKey"] == "rotated"
    hub.put_assistant("dana/new one", "name: New\nversion: 1.0.0\n", scopes=(None, ACME))
    assert config(hub, "dana/new%20one")["name"] == "New"
    hub.edit_assistant("dana/new one", "name: New", "name: Newer")
    hub.unlist_assistant("dana/new one", ACME)
    assert config(hub, "dana/new%20one")["name"] == "Newer"
    hub.remove_assistant("dana/new one")
    assert get(hub, "/ide/get-assistant/dana/new%20one").status == 404
    hub.remove_organization(ACME)
    assert get(hub, f"/ide/list-assistants?organizationId={ACME}").status == 404
    assert get(hub, "/ide/get-assistant/acme/team-chat").status == 404
    hub.add_organization(Organization("org_new", "New", "new"))
    assert get(hub, "/ide/list-assistants?organizationId=org_new").json() == []
    hub.clock_skew = -86_400 * 365
    assert "2024" in str(get(hub, "/ide/policy").header("date"))


def test_requests_are_counted_by_path(hub: Hub) -> None:
    """count() tells how often a path was asked for."""
    get(hub, "/ide/policy")
    get(hub, "//ide/policy")
    get(hub, "/ide/list-organizations")
    assert (hub.count(), hub.count("/ide/policy")) == (3, 2)
    hub.forget_requests()
    assert hub.count() == 0
