"""A running daemon held against the Hub's own published document (tests/hub-openapi.yaml), with the Hub and without it.

The document is the Hub's, word for word; what hublet adds stands in `overlay`. schemathesis makes requests up, sensible
ones and others; no answer may have a status, a content type or a body that is not declared.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup

from hublet.demo.data import DEMO_KEY
from hublet.demo.server import HubServer
from tests.running import Home, RunningDaemon, eventually

pytestmark = pytest.mark.slow

DOCUMENT = yaml.safe_load((Path(__file__).parent.parent / "hub-openapi.yaml").read_text())

MESSAGE = {
    "type": "object",
    "required": ["message"],
    "properties": {"message": {"type": "string"}, "hint": {"type": "string"}},
}
ADDED = {
    "400": "A request without sense",
    "401": "A local token is needed, or a credential of one's own",
    "403": "Not for this client, or not for this account",
    "404": "There is none of this name",
    "405": "Another method",
    "503": "Nothing is cached for this, and the Hub did not answer",
}
FULL_SLUGS = {
    "type": "object",
    "required": ["fullSlugs"],
    "properties": {
        "fullSlugs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["ownerSlug", "packageSlug", "versionSlug"],
                "properties": {key: {"type": "string"} for key in ("ownerSlug", "packageSlug", "versionSlug")},
            },
        }
    },
}


def json_of(schema: dict[str, Any], description: str = "hublet") -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def overlay(document: dict[str, Any]) -> dict[str, Any]:
    """The Hub's document and what hublet adds: errors of its own, 304, full slugs; `errors` as the Hub sends them."""
    document = copy.deepcopy(document)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            said = operation["responses"]
            for status, description in ADDED.items():
                said[status] = json_of(MESSAGE, description)
            if path == "/ide/list-assistant-full-slugs":
                said["200"] = json_of(FULL_SLUGS)
                del said["429"]  # what the Hub always answers, and hublet never
            if "get-models-add-on" not in path:
                said["304"] = {"description": "What the client has is what there is"}
            _let_errors_be_objects(said)
    return document


def _let_errors_be_objects(node: Any) -> None:
    """The document says strings; the Hub sends `{fatal, message, uri}`."""
    if isinstance(node, dict):
        if "errors" in node and isinstance(node["errors"], dict) and "items" in node["errors"]:
            thing = {
                "type": "object",
                "required": ["fatal", "message"],
                "properties": {"fatal": {"type": "boolean"}, "message": {"type": "string"}},
            }
            node["errors"]["items"] = {"anyOf": [{"type": "string"}, thing]}
        for value in node.values():
            _let_errors_be_objects(value)
    elif isinstance(node, list):
        for value in node:
            _let_errors_be_objects(value)


SCHEMA = schemathesis.openapi.from_dict(overlay(DOCUMENT))
OPERATIONS = [(method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations]
KEY = {"Authorization": f"Bearer {DEMO_KEY}"}
load_all_checks()
CONFORMANCE = CHECKS.get_by_names(
    [
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
    ]
)

REAL: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("GET", "/ide/list-assistants"): [
        {},
        {"query": {"organizationId": "org_acme"}},
        {"query": {"organizationId": "org_initech", "alwaysUseProxy": "false"}},
    ],
    ("GET", "/ide/get-assistant/{ownerSlug}/{packageSlug}"): [
        {"path_parameters": {"ownerSlug": owner, "packageSlug": package}}
        for owner, package in (("dana", "local-chat"), ("dana", "broken"), ("dana", "half-broken"))
    ],
    ("GET", "/ide/list-organizations"): [{}],
    ("GET", "/ide/policy"): [{}],
    ("GET", "/ide/free-trial-status"): [{}],
    ("GET", "/ide/list-assistant-full-slugs"): [{}, {"query": {"organizationId": "org_acme"}}],
    ("GET", "/ide/get-models-add-on-checkout-url"): [{"query": {"profile_id": "local"}}],
    ("POST", "/ide/sync-secrets"): [
        {
            "body": {
                "fqsns": [{"packageSlugs": [{"ownerSlug": "dana", "packageSlug": "local-chat"}], "secretName": name}]
            }
        }
        for name in ("LLM_KEY", "NOT_THERE")
    ],
}
"""Requests that a client makes: chance alone never finds an assistant's name, so never a 200."""


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Iterator[RunningDaemon]:
    """A daemon, logged in and synced. The client sends the account's own key: it may run as another user (root)."""
    place = tmp_path_factory.mktemp("schema")
    place.chmod(0o755)
    home = Home.make(place / "home", hub.url)
    home.login(DEMO_KEY)
    with home.daemon() as daemon:
        eventually(lambda: " hublet: pass: " in daemon.log.read_text())
        yield daemon


@pytest.fixture(scope="module")
def offline(online: RunningDaemon, hub: HubServer) -> RunningDaemon:
    """The same one after its Hub has ended. The tests that need the Hub come first."""
    hub.stop()
    return online


def hold_against_document(daemon: RunningDaemon, operation: tuple[str, str], examples: int) -> None:
    """Requests for one operation, the real ones first; each answer is checked."""
    method, path = operation
    described = SCHEMA[path][method]
    for parts in REAL[operation]:
        case = described.Case(**parts, media_type="application/json" if "body" in parts else None)
        answer = case.call_and_validate(daemon.url, headers=KEY, checks=CONFORMANCE)
        seen.setdefault(operation, set()).add(answer.status_code)
    modes = [described.as_strategy(generation_mode=GenerationMode.POSITIVE)]
    if path not in (
        "/ide/policy",
        "/ide/list-organizations",
        "/ide/free-trial-status",
        "/ide/list-assistant-full-slugs",
    ):
        modes.append(described.as_strategy(generation_mode=GenerationMode.NEGATIVE))

    @seed(1)
    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=st.one_of(modes))
    def hold(case: schemathesis.Case) -> None:
        answer = case.call_and_validate(daemon.url, headers=KEY, checks=CONFORMANCE)
        seen[operation].add(answer.status_code)

    hold()


seen: dict[tuple[str, str], set[int]] = {}
"""The statuses that each operation was answered with."""


@pytest.mark.parametrize("operation", OPERATIONS, ids="".join)
def test_with_the_hub(online: RunningDaemon, operation: tuple[str, str]) -> None:
    """Fewer requests: each new name is asked of the Hub by a worker of its own."""
    seen.pop(operation, None)
    hold_against_document(online, operation, 10)
    assert 200 in seen[operation]


@pytest.mark.parametrize("operation", OPERATIONS, ids="".join)
def test_without_the_hub(offline: RunningDaemon, operation: tuple[str, str]) -> None:
    """Everything is still 200 but what can't be cached."""
    seen.pop(operation, None)
    hold_against_document(offline, operation, 25)
    assert (503 if "checkout" in operation[1] else 200) in seen[operation]


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if "checkout" not in each[1]], ids="".join)
def test_what_is_unchanged_is_declared_too(offline: RunningDaemon, operation: tuple[str, str]) -> None:
    """304 for GET, without a body; POST has none."""
    method, path = operation
    parts = REAL[operation][0]
    case = SCHEMA[path][method].Case(**parts, media_type="application/json" if "body" in parts else None)
    etag = case.call(offline.url, headers=KEY).headers["etag"][0]
    again = case.call_and_validate(offline.url, headers=KEY | {"If-None-Match": etag}, checks=CONFORMANCE)
    assert again.status_code == (304 if method == "GET" else 200)
    assert method == "POST" or again.content == b""


@pytest.mark.parametrize(
    ("path", "failure"),
    [("/ide/list-assistants", "JsonSchemaError"), ("/ide/list-assistant-full-slugs", "UndefinedStatusCode")],
)
def test_these_checks_can_fail(offline: RunningDaemon, path: str, failure: str) -> None:
    """Against the bare document hublet's own answers are violations: schemathesis does look at them."""
    assert len(OPERATIONS) == 8
    bare = schemathesis.openapi.from_dict(DOCUMENT)
    with pytest.raises(FailureGroup) as caught:
        bare[path]["GET"].Case().call_and_validate(offline.url, headers=KEY, checks=CONFORMANCE)
    assert [type(each).__name__ for each in caught.value.exceptions] == [failure]
